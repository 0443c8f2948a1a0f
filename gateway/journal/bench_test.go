package journal

import (
	"sync/atomic"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	cfg := testConfig(b.TempDir())
	cfg.SegmentBytes, cfg.MaxBytes = DefaultSegmentBytes, 1<<36
	j, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	payload := make([]byte, 400)
	b.ReportAllocs()
	b.SetBytes(int64(frameBytes + len(payload)))
	for i := 0; b.Loop(); i++ {
		if _, err := j.AppendIntent(numbered(i), payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSyncParallel is a request's share of the journal: an intent, a sync,
// an outcome, a sync, with many requests at once.
func BenchmarkSyncParallel(b *testing.B) {
	cfg := testConfig(b.TempDir())
	cfg.SegmentBytes, cfg.MaxBytes = DefaultSegmentBytes, 1<<36
	j, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	payload := make([]byte, 400)
	var next, flushed atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := numbered(int(next.Add(1)))
			p, err := j.AppendIntent(id, payload)
			if err == nil {
				err = j.Sync(b.Context(), p)
			}
			if err == nil {
				p, err = j.AppendOutcome(id, payload)
			}
			if err == nil {
				err = j.Sync(b.Context(), p)
			}
			if err == nil {
				err = j.Release([]ID{id})
			}
			if err != nil {
				b.Error(err)
				return
			}
			flushed.Add(1)
		}
	})
}
