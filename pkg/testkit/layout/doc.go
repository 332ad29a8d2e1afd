// Package layout checks, in tests, that a module is what it says: packages
// import in one direction, what belongs in one room stands in no other, and the
// files beside the code (openapi.yaml, .env.example) tell of the code as it is.
//
//	func TestLayout(t *testing.T) {
//		layout.Check(t, ".",
//			layout.Tiers([]string{"internal/models"}, []string{"internal/services"}),
//			layout.Only(layout.Tag("gorm"), "internal/models"),
//			layout.Only(layout.Use("os.Getenv")))
//	}
//
// Everything is read from source; nothing is built or run.
package layout
