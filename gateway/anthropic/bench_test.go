package anthropic_test

import (
	"strings"
	"testing"

	"tollbook/gateway/anthropic"
)

func BenchmarkScanRequest(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"1KB", 1 << 10}, {"100KB", 100 << 10}} {
		body := request(c.n)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := anthropic.ScanRequest(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTap reads a stream of 50 deltas, one event per read, as they arrive.
func BenchmarkTap(b *testing.B) {
	var reads [][]byte
	add := func(event string) { reads = append(reads, []byte(event)) }
	add(started(""))
	add("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
	for range 50 {
		add("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" + strings.Repeat("word ", 8) + "\"}}\n\n")
	}
	add("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n")
	add(ended)
	add(stopped)
	var tap anthropic.Tap
	b.ReportAllocs()
	for b.Loop() {
		tap.Reset()
		for _, read := range reads {
			tap.Write(read)
		}
		if m := tap.Metered(); !tap.Stopped() || !m.Finished || m.OutputBytes != 2000 {
			b.Fatal(m)
		}
	}
}

func BenchmarkParseMessage(b *testing.B) {
	body := []byte(`{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"` + strings.Repeat("word ", 400) +
		`"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"cache_creation_input_tokens":5,"cache_read_input_tokens":6,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":0},"output_tokens":60,"service_tier":"standard"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if m := anthropic.ParseMessage(body); !m.Finished {
			b.Fatal(m)
		}
	}
}
