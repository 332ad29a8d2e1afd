// Package archtest checks, in tests, the structure of a module: packages import in one
// direction, what belongs in one package is in no other, and .env.example documents the
// configuration as it is.
//
//	func TestLayout(t *testing.T) {
//		archtest.Check(t, ".",
//			archtest.Tiers([]string{"internal/models"}, []string{"internal/services"}),
//			archtest.Only(archtest.Tag("gorm"), "internal/models"),
//			archtest.Only(archtest.Use("os.Getenv")))
//	}
//
// Everything is read from source; nothing is built or run.
package archtest
