package anthropic

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTapMemory feeds a tap events of any length, piece by piece: it keeps no more of
// them than it says, and after a reset little of that.
func FuzzTapMemory(f *testing.F) {
	f.Add([]byte("data: {\"type\":\"message_start\",\"x\":\""), []byte("abc"), uint16(40_000))
	f.Add([]byte("data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\""), []byte("z"), uint16(60_000))
	f.Add([]byte("event: "), []byte("message_stop"), uint16(9_000))
	f.Add([]byte(""), []byte("data: x\n"), uint16(9_000))
	f.Fuzz(func(t *testing.T, start, piece []byte, times uint16) {
		var tap Tap
		tap.Write(start)
		batch := bytes.Repeat(piece, 1+4096/(1+len(piece)))
		for left := int(times) * len(piece); left > 0; left -= len(batch) {
			tap.Write(batch[:min(left, len(batch))])
		}
		require.LessOrEqual(t, len(tap.data), maxEvent)
		require.LessOrEqual(t, cap(tap.data), 2*maxEvent)
		require.LessOrEqual(t, len(tap.reading.meter.raw), maxRaw)
		tap.Reset()
		require.LessOrEqual(t, cap(tap.data), maxKept)
	})
}
