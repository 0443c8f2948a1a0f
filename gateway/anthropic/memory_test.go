package anthropic

import (
	"bytes"
	"slices"
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

// TestALimitedTapAsks feeds events of many sizes in small reads to a tap that is allowed
// what it lacks, which meters like one without a limit, and to one that is not, which
// stays small and says what it did without.
func TestALimitedTapAsks(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, Room - 400, Room, Room + 1, 3 * Room, maxEvent - 400, maxEvent + 1} {
		text := []byte("data: {\"type\":\"message_start\",\"x\":\"" + string(bytes.Repeat([]byte("a"), size)) +
			"\",\"message\":{\"id\":\"m\",\"model\":\"o\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n" +
			"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\ndata: {\"type\":\"message_stop\"}\n\n")
		var free, allowed, denied Tap
		allowed.Limit()
		denied.Limit()
		asked := 0
		for read := range slices.Chunk(text, 1000) {
			free.Write(read)
			if lacks := allowed.Lacks(len(read)); lacks > 0 {
				allowed.Allow(lacks)
				asked += lacks
			}
			require.LessOrEqual(t, asked+Room, 2*maxEvent)
			allowed.Write(read)
			denied.Write(read)
			require.LessOrEqual(t, cap(denied.data), 2*Room)
			require.LessOrEqual(t, cap(allowed.data), asked+2*Room, "what it holds it has asked for")
		}
		require.Equal(t, free.Metered(), allowed.Metered(), size)
		require.True(t, denied.Stopped())
		if size < Room-1000 {
			require.Zero(t, asked)
		}
		if size >= Room {
			require.Contains(t, denied.Metered().Incomplete, ReasonNoRoom)
		} else {
			require.Equal(t, free.Metered(), denied.Metered())
		}
		allowed.Reset()
		require.LessOrEqual(t, cap(allowed.data), maxKept)
	}
}
