package e2e_test

import (
	"flag"
	"os"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// monthsDemo is the demo whose months are closed. It begins before other tests do: it takes
// it minutes to ask for four months of the provider's reports, as fast as a provider answers.
var monthsDemo struct { //nolint:gochecknoglobals // TestMain has no other way to hand it to a test
	sync.WaitGroup
	in  *installation
	dir string
	err error
}

// beginMonths starts it where its test is among those that run.
func beginMonths() {
	flag.Parse()
	if wanted, err := regexp.MatchString(flag.Lookup("test.run").Value.String(), "TestThreeMonthsBecomeBooks"); err == nil && !wanted {
		return
	}
	monthsDemo.Go(func() {
		if monthsDemo.dir, monthsDemo.err = os.MkdirTemp("", "tollbook-demo-"); monthsDemo.err != nil {
			return
		}
		if monthsDemo.err = os.Chmod(monthsDemo.dir, 0o755); monthsDemo.err != nil {
			return
		}
		monthsDemo.in, monthsDemo.err = openDemo(monthsDemo.dir)
	})
}

func stopMonths() {
	monthsDemo.Wait()
	if monthsDemo.in != nil && monthsDemo.in.process != nil {
		monthsDemo.in.interrupt()
	}
	_ = os.RemoveAll(monthsDemo.dir)
}

// TestThreeMonthsBecomeBooks takes a demo of its own from its traffic to closed months, a
// posted journal and a packet in the mail, as two people of finance do it.
func TestThreeMonthsBecomeBooks(t *testing.T) {
	monthsDemo.Wait()
	require.NoError(t, monthsDemo.err)
	browse(t, monthsDemo.in, "books")
}
