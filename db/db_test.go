package db_test

import (
	"testing"

	"tollbook/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
