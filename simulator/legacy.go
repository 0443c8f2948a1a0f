package simulator

import (
	"cmp"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The legacy reports: buckets, empty ones included, oldest first; cost without a
// dimension of API keys and without Priority.
const (
	legacyPath       = "/v1/organizations/usage_report/"
	legacyUsagePath  = "/v1/organizations/usage_report/messages"
	legacyCodePath   = "/v1/organizations/usage_report/claude_code"
	legacyCostPath   = "/v1/organizations/cost_report"
	legacyFastBeta   = "fast-mode-2026-02-01"
	legacyDelayLimit = 5 * time.Minute // they lag by no more than this
	day              = 24 * time.Hour
)

// legacyQuery is a checked query of a report of buckets.
type legacyQuery struct {
	from, to      time.Time // whole buckets
	width         time.Duration
	group         []string
	filters       map[string][]string
	limit, offset int // buckets
	signature     string
}

// legacyKey is one result's identity; members that are not grouped by stay empty.
type legacyKey struct {
	values                       [maxLegacyGroupBy]string
	costType, tokenType          string
	model, tier, window, geo     string
	description, workspaceOfCost string
}

// serveLegacy answers usage_report/messages and cost_report.
func (s *Simulator) serveLegacy(w http.ResponseWriter, r *http.Request) {
	k, proceed := s.admitAdmin(w, r)
	if !proceed {
		return
	}
	cost := r.URL.Path == legacyCostPath
	q, problem := parseLegacy(r, cost, s.now().UTC())
	if problem != nil {
		writeError(w, problem)

		return
	}
	total := int((q.to.Sub(q.from) + q.width - 1) / q.width)
	cut, problem := k.cutPage(q.offset, q.limit, total)
	if problem != nil {
		writeError(w, problem)

		return
	}
	buckets, problem := s.legacyBuckets(q, cost, cut)
	if problem != nil {
		writeError(w, problem)

		return
	}
	page := struct {
		Data     []legacyBucket `json:"data"`
		HasMore  bool           `json:"has_more"`
		NextPage *string        `json:"next_page"`
	}{Data: buckets, HasMore: cut.next != unset}
	if page.HasMore {
		token := pageToken(cut.next, q.signature)
		page.NextPage = &token
	}
	k.writeReport(w, page)
}

type legacyBucket struct {
	StartingAt string           `json:"starting_at"`
	EndingAt   string           `json:"ending_at"`
	Results    []map[string]any `json:"results"`
}

func parseLegacy(r *http.Request, cost bool, now time.Time) (*legacyQuery, *apiError) {
	values := r.URL.Query()
	q := &legacyQuery{filters: map[string][]string{}}
	var problem *apiError
	if q.width, q.limit, problem = legacyWidth(values, cost); problem != nil {
		return nil, problem
	}
	var err error
	if values.Get("starting_at") == "" {
		return nil, invalid("starting_at: Field required")
	}
	if q.from, err = parseTime("starting_at", values.Get("starting_at")); err != nil {
		return nil, invalid("%s", err)
	}
	if q.to, err = parseTime("ending_at", values.Get("ending_at")); err != nil {
		return nil, invalid("%s", err)
	}
	if q.to.IsZero() {
		q.to = now
	}
	q.from = q.from.Truncate(q.width)
	if q.to.Before(q.from) || q.to.Sub(q.from) > 400*day {
		return nil, invalid("ending_at: must be after starting_at, by no more than 400 days")
	}
	if problem := q.parseGroups(r, values, cost); problem != nil {
		return nil, problem
	}
	q.offset, q.signature, problem = boundPage(r.URL.Path, values)

	return q, problem
}

// legacyWidth reads the width of a bucket and how many make a page.
func legacyWidth(values url.Values, cost bool) (time.Duration, int, *apiError) {
	width, usual, most := day, 7, 31
	switch word := values.Get("bucket_width"); {
	case word == "1d" || word == "":
	case word == "1h" && !cost:
		width, usual, most = time.Hour, 24, 168
	case word == "1m" && !cost:
		width, usual, most = time.Minute, 60, 1440
	default:
		return 0, 0, invalid("bucket_width: Input should be one of the report's widths, not %q", cutText(word, 10))
	}
	limit, problem := limitOf(values, usual, most)

	return width, limit, problem
}

func (q *legacyQuery) parseGroups(r *http.Request, values url.Values, cost bool) *apiError {
	groups := []string{"account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier", "speed", "workspace_id"}
	filters := map[string]string{
		"api_key_ids[]": "api_key_id", "account_ids[]": "account_id", "models[]": "model", "service_tiers[]": "service_tier", "context_window[]": "context_window",
		"inference_geos[]": "inference_geo", "speeds[]": "speed", "workspace_ids[]": "workspace_id", "service_account_ids[]": "service_account_id",
	}
	if cost {
		groups, filters = []string{"workspace_id", "description"}, nil
	}
	for _, name := range values["group_by[]"] {
		if !slices.Contains(groups, name) {
			return invalid("group_by: %q is not a dimension of this report", cutText(name, 40))
		}
		if !slices.Contains(q.group, name) {
			q.group = append(q.group, name)
		}
	}
	for name, dimension := range filters {
		if asked := values[name]; len(asked) > maxReportFilter {
			return invalid("%s: at most %d", name, maxReportFilter)
		} else if len(asked) > 0 {
			q.filters[dimension] = asked
		}
	}
	if (slices.Contains(q.group, "speed") || q.filters["speed"] != nil) && !hasBeta(r, legacyFastBeta) {
		return invalid("speed: send %s in the anthropic-beta header", legacyFastBeta)
	}

	return nil
}

// legacyDimension is a line's value of one dimension; "" is null. The default
// workspace has no id here.
func (s *Simulator) legacyDimension(l *reportLine, name string) string {
	switch name {
	case "workspace_id":
		return l.workspace
	case "account_id":
		if l.key == "" {
			return s.consoleUser()
		}

		return ""
	default:
		return s.dimension(l, name)
	}
}

// legacyBuckets adds up the buckets of one page.
func (s *Simulator) legacyBuckets(q *legacyQuery, cost bool, cut pageCut) ([]legacyBucket, *apiError) {
	terms := s.currentTerms()
	refreshed := s.now().UTC().Add(-min(legacyDelayLimit, time.Duration(terms.ReportDelaySec)*time.Second))
	start := func(i int) time.Time { return q.from.Add(time.Duration(i) * q.width) }
	sums := make([]map[legacyKey]*reportSum, cut.to-cut.from)
	rows := 0
	end := start(cut.to)
	if end.After(q.to) {
		end = q.to
	}
	err := s.eachLine(start(cut.from), end, refreshed, func(l *reportLine) error {
		if !s.selectsLegacy(q, l, cost) {
			return nil
		}
		at := int(l.at.Sub(start(cut.from)) / q.width)
		if sums[at] == nil {
			sums[at] = map[legacyKey]*reportSum{}
		}
		before := len(sums[at])
		s.addLegacy(q, sums[at], l, cost)
		if rows += len(sums[at]) - before; rows > maxReportGroups {
			return errTooManyRows
		}

		return nil
	})
	if err != nil {
		return nil, &apiError{status: 500, kind: "api_error", message: err.Error()}
	}
	buckets := make([]legacyBucket, 0, len(sums))
	for i := range sums {
		from := start(cut.from + i)
		b := legacyBucket{StartingAt: from.Format(time.RFC3339), EndingAt: from.Add(q.width).Format(time.RFC3339), Results: []map[string]any{}}
		keys := make([]legacyKey, 0, len(sums[i]))
		for key := range sums[i] {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, compareLegacy)
		for _, key := range keys {
			b.Results = append(b.Results, showLegacy(q, key, sums[i][key], cost))
		}
		buckets = append(buckets, b)
	}

	return buckets, nil
}

func (s *Simulator) selectsLegacy(q *legacyQuery, l *reportLine, cost bool) bool {
	if (cost && (!l.inCost || l.tier == tierPriority)) || (!cost && !l.inUsage) {
		return false
	}
	for name, allowed := range q.filters {
		value := s.legacyDimension(l, name)
		if name == "inference_geo" && value == "" {
			value = "not_available"
		}
		if !slices.Contains(allowed, value) {
			return false
		}
	}

	return true
}

// addLegacy adds a line to its results: one for usage, one for each part for cost.
// Amounts are at list: the contract's discount shows in the analytics reports alone.
func (s *Simulator) addLegacy(q *legacyQuery, sums map[legacyKey]*reportSum, l *reportLine, cost bool) {
	sumOf := func(key legacyKey) *reportSum {
		if sums[key] == nil {
			sums[key] = &reportSum{}
		}

		return sums[key]
	}
	var key legacyKey
	if !cost {
		for i, name := range q.group {
			key.values[i] = s.legacyDimension(l, name)
		}
		sumOf(key).count(l)

		return
	}
	if slices.Contains(q.group, "workspace_id") {
		key.workspaceOfCost = l.workspace
	}
	for _, c := range l.components() {
		if c.pico == 0 {
			continue
		}
		part := key
		if slices.Contains(q.group, "description") {
			part.costType, part.tokenType, part.model, part.tier, part.window, part.geo = c.costType, c.tokenType, l.model, l.tier, l.window, l.geo
			part.description = s.describe(l, c)
		}
		sumOf(part).charge(c.pico, 0, 0)
	}
}

// describe is the line's text on the provider's own cost page.
func (s *Simulator) describe(l *reportLine, c component) string {
	switch c.costType {
	case costWebSearch:
		return "Web Search Usage"
	case costCodeExecution:
		return "Code Execution Usage"
	case costSessionUsage:
		return "Managed Agents Session Usage"
	}
	name := l.model
	if at := slices.IndexFunc(s.models, func(m listedModel) bool { return m.ID == l.model }); at >= 0 {
		name = s.models[at].DisplayName
	}
	kind := map[string]string{
		"uncached_input_tokens": "Input Tokens", "output_tokens": "Output Tokens", "cache_read_input_tokens": "Input Tokens, Cache Read",
		"cache_creation.ephemeral_5m_input_tokens": "Input Tokens, Cache Write", "cache_creation.ephemeral_1h_input_tokens": "Input Tokens, Cache Write 1h",
	}[c.tokenType]
	if l.tier == tierBatch {
		kind += ", Batch"
	}

	return name + " Usage - " + kind
}

func compareLegacy(x, y legacyKey) int {
	return cmp.Or(slices.Compare(x.values[:], y.values[:]), cmp.Compare(x.workspaceOfCost, y.workspaceOfCost), cmp.Compare(x.description, y.description),
		cmp.Compare(x.model, y.model), cmp.Compare(x.tier, y.tier), cmp.Compare(x.window, y.window), cmp.Compare(x.geo, y.geo), cmp.Compare(x.tokenType, y.tokenType))
}

func showLegacy(q *legacyQuery, key legacyKey, sum *reportSum, cost bool) map[string]any {
	if cost {
		return map[string]any{
			"amount": cents(&sum.list), "currency": "USD", "cost_type": orNull(key.costType), "description": orNull(key.description),
			"model": orNull(key.model), "service_tier": orNull(key.tier), "token_type": orNull(key.tokenType),
			"context_window": orNull(key.window), "inference_geo": orNull(key.geo), "workspace_id": orNull(key.workspaceOfCost),
		}
	}
	shown := map[string]any{
		"uncached_input_tokens": sum.tokens.Input, "cache_read_input_tokens": sum.tokens.CacheRead, "output_tokens": sum.tokens.Output,
		"cache_creation":  cacheCreation{sum.tokens.CacheWrite5m, sum.tokens.CacheWrite1h},
		"server_tool_use": map[string]int64{"web_search_requests": sum.searches},
	}
	for _, name := range []string{"account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier", "speed", "workspace_id"} {
		shown[name] = nil
	}
	for i, name := range q.group {
		shown[name] = orNull(key.values[i])
	}

	return shown
}

// codeUse is one key's Claude Code day.
type codeUse struct {
	sessions map[string]bool
	models   map[string]*reportSum
}

// serveCodeReport answers usage_report/claude_code: one day by key and model, an
// estimate at list price. Requests without a session are not Claude Code's.
func (s *Simulator) serveCodeReport(w http.ResponseWriter, r *http.Request) {
	k, proceed := s.admitAdmin(w, r)
	if !proceed {
		return
	}
	values := r.URL.Query()
	at, err := time.Parse(time.DateOnly, values.Get("starting_at"))
	if err != nil {
		writeError(w, invalid("starting_at: Input should be a date, YYYY-MM-DD"))

		return
	}
	limit, problem := limitOf(values, 20, 1000)
	var (
		offset    int
		signature string
	)
	if problem == nil {
		offset, signature, problem = boundPage(r.URL.Path, values)
	}
	if problem != nil {
		writeError(w, problem)

		return
	}
	uses := map[string]*codeUse{}
	err = s.eachLine(at, at.Add(day), s.now().UTC().Add(-min(time.Hour, time.Duration(s.currentTerms().ReportDelaySec)*time.Second)), func(l *reportLine) error {
		if l.session != "" && l.inUsage {
			addCodeUse(uses, l)
		}

		return nil
	})
	if err != nil {
		writeError(w, &apiError{status: 500, kind: "api_error", message: err.Error()})

		return
	}
	s.writeCodeReport(w, k, at, uses, limit, offset, signature)
}

func addCodeUse(uses map[string]*codeUse, l *reportLine) {
	use := uses[l.key]
	if use == nil {
		use = &codeUse{sessions: map[string]bool{}, models: map[string]*reportSum{}}
		uses[l.key] = use
	}
	if len(use.sessions) < maxReportGroups {
		use.sessions[l.session] = true
	}
	if use.models[l.model] == nil {
		use.models[l.model] = &reportSum{}
	}
	use.models[l.model].count(l)
	use.models[l.model].charge(l.list(), 0, 0)
}

func (s *Simulator) writeCodeReport(w http.ResponseWriter, k *knobs, at time.Time, uses map[string]*codeUse, limit, offset int, signature string) {
	names := map[string]string{}
	for _, key := range s.listKeys() {
		names[key.ID] = key.Name
	}
	order := make([]string, 0, len(uses))
	for key := range uses {
		order = append(order, key)
	}
	slices.Sort(order)
	cut, problem := k.cutPage(offset, limit, len(order))
	if problem != nil {
		writeError(w, problem)

		return
	}
	data := []map[string]any{}
	for _, key := range order[cut.from:cut.to] {
		actor := map[string]any{"type": "api_actor", "api_key_name": names[key]}
		if key == "" {
			actor = map[string]any{"type": "user_actor", "email_address": "console@example.com"}
		}
		breakdown := []map[string]any{}
		models := make([]string, 0, len(uses[key].models))
		for model := range uses[key].models {
			models = append(models, model)
		}
		slices.Sort(models)
		for _, model := range models {
			sum := uses[key].models[model]
			breakdown = append(breakdown, map[string]any{
				"model": model, "estimated_cost": map[string]any{"currency": "USD", "amount": centsNumber(&sum.list)},
				"tokens": map[string]int64{
					"input": sum.tokens.Input, "output": sum.tokens.Output, "cache_read": sum.tokens.CacheRead,
					"cache_creation": sum.tokens.CacheWrite5m + sum.tokens.CacheWrite1h,
				},
			})
		}
		data = append(data, map[string]any{
			"date": at.Format(time.RFC3339), "actor": actor, "organization_id": s.organ, "customer_type": "api", "terminal_type": "unknown",
			"core_metrics": map[string]any{
				"num_sessions": len(uses[key].sessions), "lines_of_code": map[string]int{"added": 0, "removed": 0},
				"commits_by_claude_code": 0, "pull_requests_by_claude_code": 0,
			},
			"tool_actions": map[string]any{}, "model_breakdown": breakdown,
		})
	}
	page := map[string]any{"data": data, "has_more": cut.next != unset, "next_page": nil}
	if cut.next != unset {
		page["next_page"] = pageToken(cut.next, signature)
	}
	k.writeReport(w, page)
}

// centsNumber is an amount as this one report gives it: a JSON number.
func centsNumber(pico *big.Int) json.Number {
	return json.Number(strings.TrimSuffix(strings.TrimRight(cents(pico), "0"), "."))
}
