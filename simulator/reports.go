package simulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The analytics reports: what the organization's admin sees of the books, with cost
// per API key. Rows stand for combinations that have usage; nothing is a row of zeros.
const (
	analyticsPath   = "/v1/organizations/analytics/"
	usageReportPath = "/v1/organizations/analytics/usage"
	costReportPath  = "/v1/organizations/analytics/cost"
	analyticsBeta   = "analytics-usage-cost-2026-08-24"
)

// dimensions are all members of a row's group, those the books do not know included.
func dimensions() []string {
	return []string{
		"actor", "actor_type", "agent_id", "api_key_id", "claude_tag_category", "claude_tag_user_id", "context_window", "deployment_id",
		"environment_id", "inference_geo", "model", "organization_id", "product", "rbac_group_id", "service_tier", "session_id",
		"slack_channel_id", "speed", "user_profile_id", "workspace_id",
	}
}

// reportFilters are the parameters that select, each with the dimension it looks at
// and the words it may have (nil: any).
func reportFilters() map[string]struct {
	dimension string
	words     []string
} {
	type filter = struct {
		dimension string
		words     []string
	}
	tiers := []string{tierBatch, "flex", "flex_discount", tierPriority, "priority_on_demand", tierStandard}

	return map[string]filter{
		"actor_ids[]": {"actor", nil}, "actor_types[]": {"actor_type", []string{"api_actor", "federated_actor", "service_account_actor", "user_actor"}},
		"agent_ids[]": {"agent_id", nil}, "api_key_ids[]": {"api_key_id", nil}, "claude_tag_categories[]": {"claude_tag_category", nil},
		"claude_tag_user_ids[]": {"claude_tag_user_id", nil}, "context_windows[]": {"context_window", []string{"0-200k", "200k-1M"}},
		"deployment_ids[]": {"deployment_id", nil}, "environment_ids[]": {"environment_id", nil},
		"inference_geos[]": {"inference_geo", []string{geoGlobal, geoUS, "not_available"}}, "models[]": {"model", nil},
		"organization_ids[]": {"organization_id", nil}, "products[]": {"product", nil}, "rbac_group_ids[]": {"rbac_group_id", nil},
		"service_tiers[]": {"service_tier", tiers}, "session_ids[]": {"session_id", nil}, "slack_channel_ids[]": {"slack_channel_id", nil},
		"speeds[]": {"speed", []string{speedFast, speedStandard}}, "user_profile_ids[]": {"user_profile_id", nil}, "workspace_ids[]": {"workspace_id", nil},
	}
}

// dimension is a line's value of one dimension; "" is null. Claude Code's sessions are
// not those of Managed Agents, which alone have a session_id here.
func (s *Simulator) dimension(l *reportLine, name string) string {
	switch name {
	case "actor":
		return cmp.Or(l.key, s.consoleUser())
	case "actor_type":
		if l.key == "" {
			return "user_actor"
		}

		return "api_actor"
	case "api_key_id":
		return l.key
	case "context_window":
		return l.window
	case "inference_geo":
		return l.geo
	case "model":
		return l.model
	case "organization_id":
		return s.organ
	case "service_tier":
		return l.tier
	case "speed":
		return l.speed
	case "workspace_id":
		return cmp.Or(l.workspace, s.workspace)
	default:
		return ""
	}
}

// reportQuery is a checked query of either report.
type reportQuery struct {
	cost            bool
	from, to        time.Time
	bucket          time.Duration // 0 = one bucket
	group           []string
	byCost, byToken bool
	filters         map[string][]string // by dimension
	metric          string              // what rows are ranked by, or time
	ascending       bool
	limit, offset   int
	signature       string // what a page token is bound to
}

// reportKey is one row's identity, but for cost and token type.
type reportKey struct {
	start  int64
	values [maxReportGroupBy]string // in the order of group
}

// reportRow is one row, with its parts when it is broken out by type.
type reportRow struct {
	key   reportKey
	sum   reportSum
	parts []*reportPart
}

type reportPart struct {
	costType, tokenType string
	sum                 reportSum
}

func (s *Simulator) serveReport(w http.ResponseWriter, r *http.Request) {
	k, proceed := s.admitAdmin(w, r)
	if !proceed {
		return
	}
	terms := s.currentTerms()
	refreshed := s.refreshedAt(terms)
	q, problem := parseReport(r, s.now().UTC())
	if problem != nil {
		writeError(w, problem)

		return
	}
	rows, problem := s.report(q, terms, refreshed)
	if problem != nil {
		writeError(w, problem)

		return
	}
	cut, problem := k.cutPage(q.offset, q.limit, len(rows))
	if problem != nil {
		writeError(w, problem)

		return
	}
	page := struct {
		Data            []map[string]any `json:"data"`
		HasMore         bool             `json:"has_more"`
		NextPage        *string          `json:"next_page"`
		DataRefreshedAt string           `json:"data_refreshed_at"`
	}{Data: []map[string]any{}, HasMore: cut.next != unset, DataRefreshedAt: refreshed.Format(time.RFC3339)}
	for _, row := range rows[cut.from:cut.to] {
		page.Data = append(page.Data, s.showRow(q, row)...)
	}
	if page.HasMore {
		token := pageToken(cut.next, q.signature)
		page.NextPage = &token
	}
	k.writeReport(w, page)
}

// parseReport checks a query.
func parseReport(r *http.Request, now time.Time) (*reportQuery, *apiError) {
	if !hasBeta(r, analyticsBeta) {
		return nil, invalid("This endpoint is in beta: send %s in the anthropic-beta header.", analyticsBeta)
	}
	values := r.URL.Query()
	q := &reportQuery{cost: r.URL.Path == costReportPath, filters: map[string][]string{}}
	for _, step := range []func(url.Values) *apiError{
		func(v url.Values) *apiError { return q.parseSpan(v, now) }, q.parseGroups, q.parseFilters, q.parseOrder,
		func(v url.Values) (problem *apiError) {
			q.limit, problem = limitOf(v, 20, 1000)

			return problem
		},
		func(v url.Values) (problem *apiError) {
			q.offset, q.signature, problem = boundPage(r.URL.Path, v)

			return problem
		},
	} {
		if problem := step(values); problem != nil {
			return nil, problem
		}
	}

	return q, nil
}

func hasBeta(r *http.Request, beta string) bool {
	for _, list := range r.Header.Values("anthropic-beta") {
		for word := range strings.SplitSeq(list, ",") {
			if strings.TrimSpace(word) == beta {
				return true
			}
		}
	}

	return false
}

// parseSpan reads the range and the buckets. Without buckets a report covers whole
// hours.
func (q *reportQuery) parseSpan(values url.Values, now time.Time) *apiError {
	var err error
	if values.Get("starting_at") == "" {
		return invalid("starting_at: Field required")
	}
	if q.from, err = parseTime("starting_at", values.Get("starting_at")); err != nil {
		return invalid("%s", err)
	}
	if q.from.Before(now.AddDate(0, 0, -365)) || q.from.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		return invalid("starting_at: must be within the last 365 days and not before 2026-01-01")
	}
	if q.to, err = parseTime("ending_at", values.Get("ending_at")); err != nil {
		return invalid("%s", err)
	}
	switch values.Get("time_bucket_width") {
	case "":
	case "1d":
		q.bucket = 24 * time.Hour
	case "1h":
		q.bucket = time.Hour
	case "1m":
		q.bucket = time.Minute
	default:
		return invalid("time_bucket_width: Input should be '1d', '1h' or '1m'")
	}
	const month = 31 * 24 * time.Hour
	if q.bucket == 0 {
		if q.to.IsZero() {
			q.to = now
			if most := q.from.Add(month); most.Before(now) {
				q.to = most
			}
		}
		q.from, q.to = q.from.Truncate(time.Hour), q.to.Truncate(time.Hour)
	}
	switch {
	case q.to.IsZero():
		return invalid("ending_at: Field required with time_bucket_width")
	case q.to.Before(q.from):
		return invalid("ending_at: must not be before starting_at")
	case q.to.Sub(q.from) > month:
		return invalid("ending_at: the range must not exceed 31 days")
	case q.bucket == time.Minute && q.to.Sub(q.from) > 24*time.Hour:
		return invalid("ending_at: the range must not exceed 24 hours with 1m buckets")
	}

	return nil
}

func (q *reportQuery) parseGroups(values url.Values) *apiError {
	for _, name := range values["group_by[]"] {
		switch {
		case q.cost && name == "cost_type":
			q.byCost = true
		case q.cost && name == "token_type":
			q.byToken = true
		case !slices.Contains(dimensions(), name):
			return invalid("group_by: %q is not a dimension of this report", cutText(name, 40))
		case !slices.Contains(q.group, name):
			q.group = append(q.group, name)
		}
	}
	if len(q.group) > maxReportGroupBy {
		return invalid("group_by: at most %d dimensions", maxReportGroupBy)
	}

	return nil
}

func (q *reportQuery) parseFilters(values url.Values) *apiError {
	for name, f := range reportFilters() {
		asked := values[name]
		if len(asked) > maxReportFilter {
			return invalid("%s: at most %d", name, maxReportFilter)
		}
		for _, word := range asked {
			if f.words != nil && !slices.Contains(f.words, word) {
				return invalid("%s: Input should be one of %s", name, strings.Join(f.words, ", "))
			}
		}
		if len(asked) > 0 {
			q.filters[f.dimension] = asked
		}
	}

	return nil
}

func (q *reportQuery) parseOrder(values url.Values) *apiError {
	metrics := []string{"total_tokens", "output_tokens", "requests", "uncached_input_tokens", "time"}
	if q.cost {
		metrics = []string{"amount", "list_amount", "time"}
	}
	q.metric = cmp.Or(values.Get("order_by"), metrics[0])
	if !slices.Contains(metrics, q.metric) {
		return invalid("order_by: Input should be one of %s", strings.Join(metrics, ", "))
	}
	switch values.Get("order") {
	case "", "desc":
	case "asc":
		q.ascending = true
	default:
		return invalid("order: Input should be 'asc' or 'desc'")
	}

	return nil
}

// boundPage reads a page token, which is bound to its query: a changed query is
// refused, as it would silently skip rows.
func boundPage(path string, values url.Values) (offset int, signature string, problem *apiError) {
	token := values.Get("page")
	values.Del("page")
	sum := sha256.Sum256([]byte(path + "?" + values.Encode()))
	signature = hex.EncodeToString(sum[:6])
	if token == "" {
		return 0, signature, nil
	}
	word, found := strings.CutSuffix(strings.TrimPrefix(token, "page_"), "_"+signature)
	offset, err := strconv.Atoi(word)
	if !found || err != nil || offset < 0 {
		return 0, "", invalid("page: the token does not belong to this query")
	}

	return offset, signature, nil
}

var errTooManyRows = errors.New("too many rows")

// report adds the lines up and ranks the rows.
func (s *Simulator) report(q *reportQuery, terms *Terms, refreshed time.Time) ([]*reportRow, *apiError) {
	byKey := map[reportKey]*reportRow{}
	err := s.eachLine(q.from, q.to, refreshed, func(l *reportLine) error {
		if (q.cost && !l.inCost) || (!q.cost && !l.inUsage) || !s.selects(q.filters, l) {
			return nil
		}
		key := s.keyOf(q, l)
		row := byKey[key]
		if row == nil {
			if len(byKey) >= maxReportGroups {
				return errTooManyRows
			}
			row = &reportRow{key: key}
			byKey[key] = row
		}
		row.add(q, l, terms.bpsAt(l.at))

		return nil
	})
	switch {
	case errors.Is(err, errTooManyRows):
		return nil, invalid("group_by: the report would have more than %d rows", maxReportGroups)
	case err != nil:
		return nil, &apiError{status: 500, kind: "api_error", message: err.Error()}
	}
	rows := make([]*reportRow, 0, len(byKey))
	for _, row := range byKey {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, q.compare)

	return rows, nil
}

// selects applies the filters. An empty word asks for lines without an API key, and
// not_available for those without a geography.
func (s *Simulator) selects(filters map[string][]string, l *reportLine) bool {
	for name, allowed := range filters {
		value := s.dimension(l, name)
		if name == "inference_geo" && value == "" {
			value = "not_available"
		}
		if value == "" && name != "api_key_id" {
			return false
		}
		if !slices.Contains(allowed, value) {
			return false
		}
	}

	return true
}

func (s *Simulator) keyOf(q *reportQuery, l *reportLine) reportKey {
	key := reportKey{start: q.from.UnixNano()}
	if q.bucket > 0 {
		key.start = l.at.Truncate(q.bucket).UnixNano()
	}
	for i, name := range q.group {
		key.values[i] = s.dimension(l, name)
	}

	return key
}

func (row *reportRow) add(q *reportQuery, l *reportLine, bps int64) {
	row.sum.count(l)
	row.sum.charge(l.list(), l.credit, bps)
	if !q.byCost && !q.byToken {
		return
	}
	for _, c := range l.components() {
		if c.pico == 0 || (c.tokenType == "" && !q.byCost) {
			continue
		}
		part := row.part(c, q.byToken)
		part.sum.charge(c.pico, 0, bps)
	}
	if l.credit != 0 && q.byCost {
		row.part(component{costType: costTokens}, q.byToken).sum.charge(0, l.credit, bps)
	}
}

func (row *reportRow) part(c component, byToken bool) *reportPart {
	if !byToken {
		c.tokenType = ""
	}
	at := slices.IndexFunc(row.parts, func(p *reportPart) bool { return p.costType == c.costType && p.tokenType == c.tokenType })
	if at < 0 {
		at = len(row.parts)
		row.parts = append(row.parts, &reportPart{costType: c.costType, tokenType: c.tokenType})
	}

	return row.parts[at]
}

// compare ranks rows: by the metric, or by time and then by the first metric, highest
// first. Equal ones keep one order, so that pages fit together.
func (q *reportQuery) compare(x, y *reportRow) int {
	ranked := -q.rank(x, y)
	if q.ascending {
		ranked = -ranked
	}
	started := cmp.Compare(x.key.start, y.key.start)
	if q.metric == "time" && q.bucket > 0 {
		if !q.ascending {
			started = -started
		}
		ranked, started = cmp.Or(started, -q.rank(x, y)), 0
	}

	return cmp.Or(ranked, started, slices.Compare(x.key.values[:], y.key.values[:]))
}

func (q *reportQuery) rank(x, y *reportRow) int {
	total := func(sum *reportSum) int64 { return sum.tokens.prompt() + sum.tokens.Output }
	switch {
	case q.metric == "list_amount":
		return x.sum.list.Cmp(&y.sum.list)
	case q.cost:
		return x.sum.amount().Cmp(y.sum.amount())
	case q.metric == "output_tokens":
		return cmp.Compare(x.sum.tokens.Output, y.sum.tokens.Output)
	case q.metric == "requests":
		return cmp.Compare(x.sum.requests, y.sum.requests)
	case q.metric == "uncached_input_tokens":
		return cmp.Compare(x.sum.tokens.Input, y.sum.tokens.Input)
	default:
		return cmp.Compare(total(&x.sum), total(&y.sum))
	}
}

// showRow renders one row, or one for each part of it.
func (s *Simulator) showRow(q *reportQuery, row *reportRow) []map[string]any {
	start := time.Unix(0, row.key.start).UTC()
	end := q.to
	if q.bucket > 0 {
		end = start.Add(q.bucket)
	}
	show := func(costType, tokenType string) map[string]any {
		return map[string]any{
			"starting_at": start.Format(time.RFC3339), "ending_at": end.Format(time.RFC3339), "group": s.showGroup(q, row.key, costType, tokenType),
		}
	}
	if !q.cost {
		shown := show("", "")
		shown["usage"] = usageOf(&row.sum)

		return []map[string]any{shown}
	}
	if !q.byCost && !q.byToken {
		shown := show("", "")
		shown["cost"] = costOf(&row.sum, row.sum.requests)

		return []map[string]any{shown}
	}
	all := make([]map[string]any, 0, len(row.parts))
	for _, p := range row.parts {
		shown := show(p.costType, p.tokenType)
		shown["cost"] = costOf(&p.sum, nil)
		all = append(all, shown)
	}

	return all
}

func (s *Simulator) showGroup(q *reportQuery, key reportKey, costType, tokenType string) map[string]any {
	group := map[string]any{}
	for _, name := range dimensions() {
		group[name] = nil
	}
	for i, name := range q.group {
		switch {
		case key.values[i] == "":
		case name == "actor" && key.values[i] == s.consoleUser():
			group[name] = s.actorOf("")
		case name == "actor":
			group[name] = s.actorOf(key.values[i])
		default:
			group[name] = key.values[i]
		}
	}
	if q.cost {
		group["cost_type"], group["token_type"] = orNull(costType), orNull(tokenType)
	}

	return group
}

func orNull(word string) any {
	if word == "" {
		return nil
	}

	return word
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

func costOf(sum *reportSum, requests any) map[string]any {
	return map[string]any{"amount": cents(sum.amount()), "list_amount": cents(&sum.list), "currency": "USD", "requests": requests}
}
