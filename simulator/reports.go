package simulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The analytics reports: what the organization's admin sees of the books. They lag
// by Config.ReportDelay, are never revised, and leave out errors and free refusals.
const (
	usageReportPath = "/v1/organizations/analytics/usage"
	costReportPath  = "/v1/organizations/analytics/cost"
)

// reportQuery is a checked query of either report.
type reportQuery struct {
	cost      bool
	from, to  time.Time
	bucket    time.Duration // 0 = one bucket
	group     []string
	byCost    bool // cost_type
	byToken   bool // token_type
	keys      []string
	models    []string
	limit     int
	offset    int
	signature string // what a page token is bound to
}

// reportKey is one row's identity. Members that are not grouped by stay empty.
type reportKey struct {
	start                        int64
	key, model, tier, speed, geo string
	session, costType, tokenType string
}

type reportSum struct {
	requests int64
	tokens   Tokens
	searches int64
	pico     big.Int
}

func (s *Simulator) serveReport(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	credential, _, _ := checkHeaders(r)
	if !strings.HasPrefix(credential, "sk-ant-admin") {
		writeError(w, &apiError{status: 403, kind: "permission_error", message: "This endpoint requires an Admin API key."})

		return
	}
	refreshed := s.now().UTC().Add(-s.reportDelay)
	q, problem := parseReport(r.URL, refreshed)
	if problem != nil {
		writeError(w, problem)

		return
	}
	sums, problem := s.report(q)
	if problem != nil {
		writeError(w, problem)

		return
	}
	keys := make([]reportKey, 0, len(sums))
	for key := range sums {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y reportKey) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(fmt.Sprint(x), fmt.Sprint(y)))
	})
	end := min(len(keys), q.offset+q.limit)
	page := struct {
		Data            []map[string]any `json:"data"`
		HasMore         bool             `json:"has_more"`
		NextPage        *string          `json:"next_page"`
		DataRefreshedAt string           `json:"data_refreshed_at"`
	}{Data: []map[string]any{}, HasMore: end < len(keys), DataRefreshedAt: refreshed.Format(time.RFC3339)}
	for _, key := range keys[min(q.offset, end):end] {
		page.Data = append(page.Data, s.reportRow(q, key, sums[key]))
	}
	if page.HasMore {
		token := fmt.Sprintf("page_%d_%s", end, q.signature)
		page.NextPage = &token
	}
	writeJSON(w, http.StatusOK, page)
}

// parseReport checks a query. Nothing after refreshed is in any report.
func parseReport(u *url.URL, refreshed time.Time) (*reportQuery, *apiError) {
	values := u.Query()
	q := &reportQuery{cost: u.Path == costReportPath, keys: values["api_key_ids[]"], models: values["models[]"], limit: 20}
	if values.Get("starting_at") == "" {
		return nil, invalid("starting_at: Field required")
	}
	var err error
	if q.from, err = parseTime("starting_at", values.Get("starting_at")); err != nil {
		return nil, invalid("%s", err)
	}
	if q.to, err = parseTime("ending_at", values.Get("ending_at")); err != nil {
		return nil, invalid("%s", err)
	}
	if problem := q.parseBucket(values.Get("time_bucket_width")); problem != nil {
		return nil, problem
	}
	if q.to.IsZero() || q.to.After(refreshed) {
		q.to = refreshed
	}
	if q.to.Sub(q.from) > 31*24*time.Hour {
		return nil, invalid("ending_at: the range must not exceed 31 days")
	}
	if word := values.Get("limit"); word != "" {
		if q.limit, err = strconv.Atoi(word); err != nil || q.limit < 1 || q.limit > 1000 {
			return nil, invalid("limit: must be from 1 to 1000")
		}
	}
	if problem := q.parseGroups(values["group_by[]"]); problem != nil {
		return nil, problem
	}

	return q, q.parsePage(values)
}

func (q *reportQuery) parseBucket(width string) *apiError {
	switch width {
	case "":
		return nil
	case "1d":
		q.bucket = 24 * time.Hour
	case "1h":
		q.bucket = time.Hour
	case "1m":
		q.bucket = time.Minute
	default:
		return invalid("time_bucket_width: Input should be '1d', '1h' or '1m'")
	}
	if q.to.IsZero() {
		return invalid("ending_at: Field required with time_bucket_width")
	}
	if q.bucket == time.Minute && q.to.Sub(q.from) > 24*time.Hour {
		return invalid("ending_at: the range must not exceed 24 hours with 1m buckets")
	}

	return nil
}

// dimensions are all members of a row's group, those the books do not know included.
func dimensions() []string {
	return []string{
		"actor", "actor_type", "agent_id", "api_key_id", "context_window", "deployment_id", "environment_id", "inference_geo",
		"model", "organization_id", "product", "rbac_group_id", "service_tier", "session_id", "speed", "user_profile_id", "workspace_id",
	}
}

func (q *reportQuery) parseGroups(names []string) *apiError {
	for _, name := range names {
		switch {
		case q.cost && name == "cost_type":
			q.byCost = true
		case q.cost && name == "token_type":
			q.byCost, q.byToken = true, true
		case slices.Contains(dimensions(), name):
			q.group = append(q.group, name)
		default:
			return invalid("group_by: %q is not a dimension of this report", cutText(name, 40))
		}
	}
	if len(q.group) > 5 {
		return invalid("group_by: at most 5 dimensions")
	}

	return nil
}

// parsePage binds the token to the query: a changed query is refused, as it would
// silently skip rows.
func (q *reportQuery) parsePage(values url.Values) *apiError {
	token := values.Get("page")
	values.Del("page")
	sum := sha256.Sum256([]byte(values.Encode()))
	q.signature = hex.EncodeToString(sum[:6])
	if token == "" {
		return nil
	}
	offset, found := strings.CutSuffix(strings.TrimPrefix(token, "page_"), "_"+q.signature)
	n, err := strconv.Atoi(offset)
	if !found || err != nil || n < 0 {
		return invalid("page: the token does not belong to this query")
	}
	q.offset = n

	return nil
}

// report reads the books between from and to and adds them up.
func (s *Simulator) report(q *reportQuery) (map[reportKey]*reportSum, *apiError) {
	sums := map[reportKey]*reportSum{}
	for _, e := range s.books.window(filter{from: q.from, to: q.to}) {
		f, err := s.books.readAt(e.offset, int(e.length))
		if err != nil {
			return nil, &apiError{status: 500, kind: "api_error", message: err.Error()}
		}
		if f.Status >= 400 || f.Refused || !selects(q.keys, f.KeyHint) || !selects(q.models, f.Model) {
			continue
		}
		if err := s.addToReport(q, sums, f); err != nil {
			return nil, &apiError{status: 500, kind: "api_error", message: err.Error()}
		}
		if len(sums) > maxReportGroups {
			return nil, invalid("group_by: the report would have more than %d rows", maxReportGroups)
		}
	}

	return sums, nil
}

func selects(allowed []string, word string) bool {
	return len(allowed) == 0 || slices.Contains(allowed, word)
}

func (s *Simulator) addToReport(q *reportQuery, sums map[reportKey]*reportSum, f *Fact) error {
	key := q.keyOf(f)
	if !q.byCost {
		sum := sumOf(sums, key)
		sum.requests++
		sum.tokens.add(f.Tokens)
		sum.searches += f.WebSearchRequests
		sum.pico.Add(&sum.pico, big.NewInt(f.BilledPico))

		return nil
	}
	c, err := s.prices.parts(f, Iteration{Kind: kindAnswer, Model: f.Model, Tokens: f.Tokens})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		costType, tokenType string
		pico                int64
	}{
		{"tokens", "uncached_input_tokens", c.input},
		{"tokens", "output_tokens", c.output},
		{"tokens", "cache_read_input_tokens", c.read},
		{"tokens", "cache_creation.ephemeral_5m_input_tokens", c.write5m},
		{"tokens", "cache_creation.ephemeral_1h_input_tokens", c.write1h},
		{"web_search", "", c.search},
	} {
		if part.pico == 0 {
			continue
		}
		key.costType = part.costType
		if q.byToken {
			key.tokenType = part.tokenType
		}
		sum := sumOf(sums, key)
		sum.pico.Add(&sum.pico, big.NewInt(part.pico))
	}

	return nil
}

func sumOf(sums map[reportKey]*reportSum, key reportKey) *reportSum {
	if sums[key] == nil {
		sums[key] = &reportSum{}
	}

	return sums[key]
}

func (q *reportQuery) keyOf(f *Fact) reportKey {
	key := reportKey{start: q.from.UnixNano()}
	if q.bucket > 0 {
		key.start = f.OccurredAt.UTC().Truncate(q.bucket).UnixNano()
	}
	for _, name := range q.group {
		switch name {
		case "api_key_id":
			key.key = f.KeyHint
		case "model":
			key.model = f.Model
		case "service_tier":
			key.tier = f.ServiceTier
		case "speed":
			key.speed = f.Speed
		case "inference_geo":
			key.geo = f.InferenceGeo
		case "session_id":
			key.session = f.SessionID
		}
	}

	return key
}

func (s *Simulator) reportRow(q *reportQuery, key reportKey, sum *reportSum) map[string]any {
	group := map[string]any{}
	for _, name := range dimensions() {
		group[name] = nil
	}
	for name, value := range map[string]string{
		"api_key_id": key.key, "model": key.model, "service_tier": key.tier, "speed": key.speed, "inference_geo": key.geo,
		"session_id": key.session, "cost_type": key.costType, "token_type": key.tokenType,
	} {
		if value != "" {
			group[name] = value
		} else if q.cost && (name == "cost_type" || name == "token_type") {
			group[name] = nil
		}
	}
	start := time.Unix(0, key.start).UTC()
	end := q.to
	if q.bucket > 0 {
		end = start.Add(q.bucket)
	}
	row := map[string]any{"starting_at": start.Format(time.RFC3339), "ending_at": end.Format(time.RFC3339), "group": group}
	if q.cost {
		row["cost"] = s.costOf(q, sum)
	} else {
		row["usage"] = usageOf(sum)
	}

	return row
}

func usageOf(sum *reportSum) map[string]any {
	t := sum.tokens

	return map[string]any{
		"uncached_input_tokens": t.Input, "cache_read_input_tokens": t.CacheRead, "output_tokens": t.Output,
		"cache_creation":  cacheCreation{t.CacheWrite5m, t.CacheWrite1h},
		"server_tool_use": map[string]int64{"web_search_requests": sum.searches},
		"requests":        sum.requests, "total_tokens": t.prompt() + t.Output,
	}
}

func (s *Simulator) costOf(q *reportQuery, sum *reportSum) map[string]any {
	net := new(big.Int).Mul(&sum.pico, big.NewInt(10_000-s.discountBps))
	half := big.NewInt(5_000)
	net.Add(net, half).Quo(net, big.NewInt(10_000)) // to the nearest pico-dollar, half up: once per row
	cost := map[string]any{"amount": cents(net), "list_amount": cents(&sum.pico), "currency": "USD", "requests": nil}
	if !q.byCost {
		cost["requests"] = sum.requests
	}

	return cost
}

// cents writes pico-dollars as cents with all ten decimals: nothing is rounded away.
func cents(pico *big.Int) string {
	digits := fmt.Sprintf("%011s", pico.String())

	return digits[:len(digits)-10] + "." + digits[len(digits)-10:]
}
