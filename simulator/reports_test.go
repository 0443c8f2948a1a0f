package simulator

import (
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type reportPage struct {
	Data []struct {
		StartingAt string             `json:"starting_at"`
		Group      map[string]*string `json:"group"`
		Usage      struct {
			Input    int64 `json:"uncached_input_tokens"`
			Requests int64 `json:"requests"`
			Total    int64 `json:"total_tokens"`
		}
		Cost struct {
			Amount, Currency string
			ListAmount       string `json:"list_amount"`
			Requests         *int64
		}
	}
	HasMore         bool    `json:"has_more"`
	NextPage        *string `json:"next_page"`
	DataRefreshedAt string  `json:"data_refreshed_at"`
}

func reportOf(t *testing.T, sim *Simulator, path string) reportPage {
	t.Helper()
	rec := call(t, sim, http.MethodGet, path, "", map[string]string{"x-api-key": "sk-ant-admin01-x"})
	require.Equal(t, 200, rec.Code, rec.Body.String())

	return decode[reportPage](t, rec.Body.Bytes())
}

func TestReports(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{DiscountBps: 1500, ReportDelay: time.Hour})
	_, err := sim.Import(history(2880)) // 2026-08-15 noon to 08-17 noon
	require.NoError(t, err)
	const span = "?starting_at=2026-08-15&ending_at=2026-08-20&time_bucket_width=1d"
	page := reportOf(t, sim, usageReportPath+span+"&group_by[]=api_key_id&group_by[]=model")
	require.Len(t, page.Data, 3)
	require.Equal(t, "2026-08-15T00:00:00Z", page.Data[0].StartingAt)
	require.Equal(t, "apikey_1", *page.Data[0].Group["api_key_id"])
	require.Nil(t, page.Data[0].Group["workspace_id"])
	require.EqualValues(t, 720, page.Data[0].Usage.Requests)
	require.EqualValues(t, 720_000, page.Data[0].Usage.Input)
	require.Equal(t, "2026-11-23T11:00:00Z", page.DataRefreshedAt)

	// 2880 x $0.0075 = $21.60 = 2160 cents; less 15 % = 1836
	page = reportOf(t, sim, costReportPath+"?starting_at=2026-08-15&ending_at=2026-08-20")
	require.Equal(t, "2160.0000000000", page.Data[0].Cost.ListAmount)
	require.Equal(t, "1836.0000000000", page.Data[0].Cost.Amount)
	require.EqualValues(t, 2880, *page.Data[0].Cost.Requests)

	// by token type: 1000 x 5 and 100 x 25 millionths each: two thirds, one third
	page = reportOf(t, sim, costReportPath+"?starting_at=2026-08-15&ending_at=2026-08-20&group_by[]=cost_type&group_by[]=token_type")
	require.Len(t, page.Data, 2)
	require.Equal(t, "output_tokens", *page.Data[0].Group["token_type"])
	require.Equal(t, "720.0000000000", page.Data[0].Cost.ListAmount)
	require.Equal(t, "1440.0000000000", page.Data[1].Cost.ListAmount)
	require.Nil(t, page.Data[1].Cost.Requests)

	var hours int64
	query := usageReportPath + "?starting_at=2026-08-15&ending_at=2026-08-20&time_bucket_width=1h&limit=20"
	for next := ""; ; {
		page = reportOf(t, sim, query+next)
		for _, row := range page.Data {
			hours += row.Usage.Requests
		}
		if !page.HasMore {
			break
		}
		next = "&page=" + *page.NextPage
	}
	require.EqualValues(t, 2880, hours)
}

// What is younger than the delay is not reported yet; errors and refusals never are.
func TestReportLags(t *testing.T) {
	t.Parallel()
	now := noon()
	sim := open(t, Config{ReportDelay: time.Hour, Now: func() time.Time { return now }})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), nil)
	ask(t, sim, body("claude-opus-5-5", "[[refuse]]", ""), nil)
	ask(t, sim, body("claude-opus-5-5", "[[sim:status=529]]", ""), nil)
	const path = usageReportPath + "?starting_at=2026-11-23"
	require.Empty(t, reportOf(t, sim, path).Data)
	now = now.Add(time.Hour + time.Second)
	page := reportOf(t, sim, path)
	require.Len(t, page.Data, 1)
	require.EqualValues(t, 1, page.Data[0].Usage.Requests)
}

func TestReportFaults(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	require.Equal(t, 403, call(t, sim, http.MethodGet, costReportPath+"?starting_at=2026-11-01", "", nil).Code)
	for _, query := range []string{
		"", "starting_at=x", "starting_at=2026-11-01&time_bucket_width=1d", "starting_at=2026-11-01&ending_at=2026-11-02&time_bucket_width=2d",
		"starting_at=2026-09-01", "starting_at=2026-11-20&limit=0", "starting_at=2026-11-20&group_by[]=color", "starting_at=2026-11-20&page=page_20_0",
		"starting_at=2026-11-20&ending_at=2026-11-22&time_bucket_width=1m",
		"starting_at=2026-11-20&group_by[]=model&group_by[]=speed&group_by[]=actor&group_by[]=product&group_by[]=session_id&group_by[]=api_key_id",
	} {
		rec := call(t, sim, http.MethodGet, costReportPath+"?"+query, "", map[string]string{"x-api-key": "sk-ant-admin01-x"})
		require.Equal(t, 400, rec.Code, query)
	}
}

func TestCents(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0.0000000055", cents(big.NewInt(55)))
	require.Equal(t, "123.4567890123", cents(big.NewInt(1_234_567_890_123)))
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"Dir": {}, "DiscountBps": {Dir: "x", DiscountBps: 10_001}, "negative": {Dir: "x", Delay: -1},
	} {
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
	}
}
