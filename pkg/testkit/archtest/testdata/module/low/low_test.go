package low_test

import _ "example.com/module/high" // tests may look up
