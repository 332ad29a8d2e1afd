package low

import "net/http/httptest"

type row struct {
	Name string `json:"gorm:name" gorm:"primaryKey"`
}

func init() { httptest.NewRecorder() }

func Stop() { panic(row{}) }
