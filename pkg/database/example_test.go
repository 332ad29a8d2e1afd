package database_test

import (
	"fmt"

	"github.com/go-troika/troika/pkg/database"
)

func ExampleName() {
	fmt.Println(database.Name("user-service", "development"))
	// Output: user_service_development
}
