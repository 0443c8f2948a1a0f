package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
)

// A client that reads of an error in its stream leaves at once. Whether it is gone
// before or after the stream's end is noticed is chance, and must not show in a row.
func TestWhoEndedAStreamDecidesItsState(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	failed := anthropic.Metered{Started: true, Incomplete: []string{"stream_error", "no_final_usage"}}
	cut := anthropic.Metered{Started: true, Incomplete: []string{"no_final_usage"}}
	for name, c := range map[string]struct {
		metered anthropic.Metered
		ended   error
		state   usage.State
		flags   []string
	}{
		"the provider, with an error":  {failed, io.EOF, usage.StateIncomplete, []string{"stream_error", "no_final_usage"}},
		"the provider, by dropping it": {cut, io.ErrUnexpectedEOF, usage.StateIncomplete, []string{"no_final_usage", "upstream_dropped"}},
		"the gateway, for the client":  {cut, fmt.Errorf("read: %w", context.Canceled), usage.StateEstimated, []string{"no_final_usage", "client_gone"}},
	} {
		contexts := []context.Context{gone}
		if c.state == usage.StateIncomplete {
			contexts = append(contexts, t.Context())
		}
		for _, ctx := range contexts {
			x := &exchange{r: (&http.Request{}).WithContext(ctx), intent: &intent{Model: "claude-opus-5-5"}}
			x.judge(c.metered, c.ended)
			require.Equal(t, c.state, x.outcome.State, name)
			require.Equal(t, c.flags, x.outcome.Flags, name)
		}
	}
}
