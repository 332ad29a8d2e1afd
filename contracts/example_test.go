package contracts_test

import (
	"encoding/json"
	"fmt"

	"github.com/go-troika/troika/contracts"
)

func Example() {
	event := contracts.OrderCompleted
	payload, err := json.Marshal(order)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(event.Source(), "publishes", event.Name())
	fmt.Println(string(payload))
	// Output:
	// order-service publishes order.completed
	// {"orderId":"0199aa3e-7c00-7000-8000-000000000002","userId":"0199aa3e-7c00-7000-8000-000000000001","currency":"USD","total":1999,"at":"2026-01-02T03:04:05.678901Z"}
}
