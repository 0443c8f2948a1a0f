package web

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	clock := time.Unix(0, 0)
	l := newLimiter(doorsPerMinute, func() time.Time { return clock })
	for i := range maxAddresses + 500 {
		l.allow(strconv.Itoa(i))
	}
	require.LessOrEqual(t, len(l.counts), maxAddresses+1)
	require.False(t, l.allow("one more"), "beyond the bound addresses share one count")
	clock = clock.Add(time.Minute)
	require.True(t, l.allow("one more"))
	require.Len(t, l.counts, 1, "a minute's counts are forgotten with it")
}

func TestCell(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "", "Lidar": "Lidar", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\tx": "'\tx", "\rx": "'\rx", "a=b": "a=b", "Ä": "Ä",
	} {
		require.Equal(t, want, cell(given))
	}
}
