package deliver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/jobs/deliver"
)

// putInto makes one attempt to put a packet into a bucket at an address.
func putInto(t *testing.T, address string, within time.Duration) notice.Outcome {
	t.Helper()
	object := &app.PacketObject{Endpoint: address, Bucket: "books", Key: "x", AccessKey: "k", SecretKey: secret.NewText("s"), Type: "application/zip", Content: []byte("x")}
	return deliver.NewOffice(nil, deliver.NewHooks(true, within, now)).SendPacket(t.Context(), &app.PacketDispatch{Object: object})
}

// TestAStoreIsNotAskedWhereABucketLies names no region: the packet is put there at once, and no
// answer is wanted that is larger than it looks.
func TestAStoreIsNotAskedWhereABucketLies(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	there := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept-Encoding"))
	}))
	t.Cleanup(there.Close)
	require.True(t, putInto(t, there.URL, deliver.HookWithin).Accepted)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"PUT /books/x "}, asked)
}

// TestWhatAStoreAnswersIsBounded has stores that answer without end: none is read for longer
// than an answer may be.
func TestWhatAStoreAnswersIsBounded(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusPreconditionFailed} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(status)
				_, err := w.Write([]byte(`<?xml version="1.0"?><Error><Code>`))
				for block := []byte(strings.Repeat("a", 1<<20)); err == nil && sent.Load() < 1<<30; _, err = w.Write(block) {
					sent.Add(int64(len(block)))
				}
			}))
			t.Cleanup(there.Close)
			out := putInto(t, there.URL, deliver.HookWithin)
			require.Equal(t, status == http.StatusOK, out.Accepted, out)
			require.Less(t, len(out.Answer), 500)
			there.Close() // it has written all it will
			require.Less(t, sent.Load(), int64(64<<20), "what the kernel holds, and no more")
		})
	}
}

// TestAStoreThatHangsIsGivenUp never answers.
func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	t.Cleanup(there.Close)
	t.Cleanup(func() { close(end) })
	require.Equal(t, notice.Outcome{Answer: "No answer in time."}, putInto(t, there.URL, 50*time.Millisecond))
}
