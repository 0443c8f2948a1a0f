package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"tollbook/app/money"
	"tollbook/app/usage"
)

// Bounds of one page.
const (
	MaxPageBytes  = 16 << 20
	maxPageRows   = 20_000
	maxWordBytes  = 200
	maxCursor     = 2000
	maxRowMembers = 100
	maxUnread     = 20 // names kept of what was not understood
	maxCount      = 1 << 53
)

// row is one row of a page: what tells it from every other, and its figures.
type row struct {
	identity [sha256.Size]byte
	figures  []Figure
}

// page is one page as it was read.
type page struct {
	rows      []row
	names     []Name
	next      string // empty: the last one
	refreshed time.Time
	unread    []string
}

type members map[string]json.RawMessage

// parsePage reads a page's bytes.
func parsePage(api API, report Report, day time.Time, body []byte) (*page, error) {
	if len(body) > MaxPageBytes {
		return nil, refused("page_size", "A page has more than %d bytes.", MaxPageBytes)
	}
	var raw struct {
		Data        []json.RawMessage `json:"data"`
		HasMore     *bool             `json:"has_more"`
		NextPage    *string           `json:"next_page"`
		LastID      *string           `json:"last_id"`
		RefreshedAt *time.Time        `json:"data_refreshed_at"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&raw); err != nil {
		return nil, refused("page_syntax", "A page is no JSON of a report: %.100s", err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, refused("page_syntax", "There is something behind a page.")
	}
	if raw.Data == nil || raw.HasMore == nil {
		return nil, refused("page_syntax", "A page has no data or does not say whether there is more.")
	}
	p := &page{}
	next := raw.NextPage
	if !report.OfFigures() {
		next = raw.LastID
	}
	if *raw.HasMore {
		if next == nil || *next == "" || len(*next) > maxCursor {
			return nil, refused("page_cursor", "A page says that there is more, and not where.")
		}
		p.next = *next
	}
	if raw.RefreshedAt != nil {
		p.refreshed = raw.RefreshedAt.UTC()
	}
	err := p.read(api, report, day, raw.Data)
	return p, err
}

// read reads the rows of a page. The legacy reports wrap them in buckets.
func (p *page) read(api API, report Report, day time.Time, data []json.RawMessage) error {
	if len(data) > maxPageRows {
		return refused("page_rows", "A page has more than %d rows.", maxPageRows)
	}
	for _, one := range data {
		var err error
		switch {
		case !report.OfFigures():
			err = p.readName(report, one)
		case api == Legacy:
			err = p.readBucket(report, day, one)
		default:
			err = p.readRow(report, day, one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func object(raw json.RawMessage, what string) (members, error) {
	var m members
	if err := json.Unmarshal(raw, &m); err != nil || m == nil || len(m) > maxRowMembers {
		return nil, refused("row_syntax", "%s is no object.", what)
	}
	return m, nil
}

// readRow reads a row of analytics: a span, a group and its measures.
func (p *page) readRow(report Report, day time.Time, raw json.RawMessage) error {
	r, err := object(raw, "A row")
	if err != nil {
		return err
	}
	if err := onDay(r, day); err != nil {
		return err
	}
	group, err := object(r["group"], "A row's group")
	if err != nil {
		return err
	}
	measures, err := object(r[string(report)], "A row's "+string(report))
	if err != nil {
		return err
	}
	for name := range r {
		if name != "starting_at" && name != "ending_at" && name != "group" && name != string(report) {
			p.leave("row." + name)
		}
	}
	known := []string{"api_key_id", "model", "service_tier", "speed", "inference_geo", "workspace_id"}
	if report == Cost {
		known = append(known, "cost_type", "token_type")
	}
	for name, value := range group {
		if !slices.Contains(known, name) && string(value) != "null" {
			p.leave("group." + name)
		}
	}
	f, err := dimensioned(report, day, group)
	if err != nil {
		return err
	}
	var figures []Figure
	if report == Usage {
		figures, err = p.counts(f, measures, "")
	} else {
		figures, err = p.costs(f, group, measures, true)
	}
	if err != nil {
		return err
	}
	return p.add(group, figures)
}

// readBucket reads a legacy bucket: its span, and results that hold dimensions and measures
// side by side.
func (p *page) readBucket(report Report, day time.Time, raw json.RawMessage) error {
	b, err := object(raw, "A bucket")
	if err != nil {
		return err
	}
	if err := onDay(b, day); err != nil {
		return err
	}
	var results []json.RawMessage
	if err := json.Unmarshal(b["results"], &results); err != nil || results == nil {
		return refused("row_syntax", "A bucket has no results.")
	}
	if len(p.rows)+len(results) > maxPageRows {
		return refused("page_rows", "A page has more than %d rows.", maxPageRows)
	}
	for _, one := range results {
		r, err := object(one, "A result")
		if err != nil {
			return err
		}
		f, err := dimensioned(report, day, r)
		if err != nil {
			return err
		}
		group, measures := members{}, members{}
		for name, value := range r {
			if legacyMeasure(report, name, value) {
				measures[name] = value
			} else {
				group[name] = value
			}
		}
		var figures []Figure
		if report == Usage {
			figures, err = p.counts(f, measures, "")
		} else {
			figures, err = p.costs(f, group, measures, false)
		}
		if err != nil {
			return err
		}
		if err := p.add(group, figures); err != nil {
			return err
		}
	}
	return nil
}

// legacyMeasure tells a result's measures from its dimensions: words are dimensions.
func legacyMeasure(report Report, name string, value json.RawMessage) bool {
	if report == Cost {
		return name == "amount" || name == "currency"
	}
	return len(value) > 0 && value[0] != '"' && string(value) != "null"
}

// onDay refuses a row that is about another span than the day that was asked for.
func onDay(m members, day time.Time) error {
	var from, to time.Time
	if json.Unmarshal(m["starting_at"], &from) != nil || json.Unmarshal(m["ending_at"], &to) != nil {
		return refused("row_span", "A row does not say when it starts and ends.")
	}
	if !from.Equal(day) || !to.Equal(day.AddDate(0, 0, 1)) {
		return refused("row_span", "A row is about %s to %s, and not about the day that was asked for.", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	return nil
}

// word reads a dimension: text, or null for none.
func word(m members, name string) (string, error) {
	raw, there := m[name]
	if !there {
		return "", nil
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", refused("row_word", "%s is no text.", name)
	}
	if text == nil {
		return "", nil
	}
	if usage.Clip(*text, maxWordBytes) != *text {
		return "", refused("row_word", "%s is longer than %d bytes, or holds what cannot be printed.", name, maxWordBytes)
	}
	return *text, nil
}

// dimensioned is a figure without a class and a measure.
func dimensioned(report Report, day time.Time, m members) (Figure, error) {
	f := Figure{Report: report, Day: day}
	for name, into := range map[string]*string{
		"workspace_id": &f.Workspace, "api_key_id": &f.Key, "model": &f.Model, "service_tier": &f.Tier, "speed": &f.Speed, "inference_geo": &f.Geography,
	} {
		var err error
		if *into, err = word(m, name); err != nil {
			return f, err
		}
	}
	return f, nil
}

// counts makes a figure of each counter that is not zero; a counter may be inside another
// object, and its class is then its whole path.
func (p *page) counts(f Figure, measures members, path string) ([]Figure, error) {
	var figures []Figure
	for _, name := range slices.Sorted(maps.Keys(measures)) {
		raw, at := measures[name], path+name
		switch {
		case string(raw) == "null", at == "total_tokens": // a sum of others
			continue
		case raw[0] == '{' && path == "":
			inner, err := object(raw, at)
			if err != nil {
				return nil, err
			}
			more, err := p.counts(f, inner, at+".")
			if err != nil {
				return nil, err
			}
			figures = append(figures, more...)
			continue
		case raw[0] != '-' && (raw[0] < '0' || raw[0] > '9'):
			if Known(countClass(at)) {
				return nil, refused("row_count", "%s is no count.", at)
			}
			p.leave("usage." + at)
			continue
		}
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 0 || n > maxCount || len(at) > maxWordBytes || usage.Clip(at, maxWordBytes) != at {
			return nil, refused("row_count", "%.60s is no count: %.40s.", at, raw)
		}
		if n > 0 {
			one := f
			one.Class, one.Quantity = countClass(at), n
			figures = append(figures, one)
		}
	}
	return figures, nil
}

// costs makes the figure of a cost row.
func (p *page) costs(f Figure, group, measures members, listed bool) ([]Figure, error) {
	costType, err := word(group, "cost_type")
	if err != nil {
		return nil, err
	}
	tokenType, err := word(group, "token_type")
	if err != nil {
		return nil, err
	}
	currency, err := word(measures, "currency")
	if err != nil {
		return nil, err
	}
	if currency != "USD" {
		return nil, refused("currency_foreign", "An amount is in %q: only US dollars are read.", currency)
	}
	f.Class = costClass(costType, tokenType)
	if f.Amount, err = cents(measures, "amount"); err != nil {
		return nil, err
	}
	f.List = f.Amount
	if listed {
		if f.List, err = cents(measures, "list_amount"); err != nil {
			return nil, err
		}
	}
	for name, value := range measures {
		switch name {
		case "amount", "list_amount", "currency", "requests":
		default:
			if string(value) != "null" {
				p.leave("cost." + name)
			}
		}
	}
	if f.List == 0 && f.Amount == 0 && Known(f.Class) {
		return nil, nil
	}
	return []Figure{f}, nil
}

// cents reads an amount: a decimal of cents, as text.
func cents(m members, name string) (money.Pico, error) {
	var text string
	if err := json.Unmarshal(m[name], &text); err != nil {
		return 0, refused("row_amount", "%s is no decimal as text.", name)
	}
	pico, err := money.PicoOfCents(text)
	if err != nil {
		return 0, refused("row_amount", "%s is no amount this program can hold exactly: %.40q.", name, text)
	}
	return pico, nil
}

// add keeps a row, with what tells it from others: all its dimensions, whatever they are.
func (p *page) add(group members, figures []Figure) error {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(group)) {
		var value bytes.Buffer
		if err := json.Compact(&value, group[name]); err != nil {
			return refused("row_syntax", "A row's %.60s cannot be read.", name)
		}
		if value.String() != "null" {
			_, _ = h.Write([]byte(strconv.Quote(name) + value.String() + "\n"))
		}
	}
	p.rows = append(p.rows, row{identity: [sha256.Size]byte(h.Sum(nil)), figures: figures})
	return nil
}

// leave notes the name of what was there and not understood.
func (p *page) leave(name string) {
	name = usage.Clip(name, maxWordBytes)
	if len(p.unread) < maxUnread && !slices.Contains(p.unread, name) {
		p.unread = append(p.unread, name)
	}
}

// readName reads a key or a workspace. Names are the organization's own words: what is not
// printable or too long is cut.
func (p *page) readName(report Report, raw json.RawMessage) error {
	var o struct {
		ID          string     `json:"id"`
		Name        string     `json:"name"`
		Status      string     `json:"status"`
		WorkspaceID *string    `json:"workspace_id"`
		ArchivedAt  *time.Time `json:"archived_at"`
		Scope       struct {
			WorkspaceID *string `json:"workspace_id"`
		} `json:"scope"`
	}
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == "" || usage.Clip(o.ID, maxWordBytes) != o.ID {
		return refused("row_syntax", "A listed object has no id.")
	}
	n := Name{Kind: KindKey, ID: o.ID, Name: usage.Clip(o.Name, maxWordBytes), Status: usage.Clip(o.Status, maxWordBytes)}
	if report == Workspaces {
		n.Kind, n.Status = KindWorkspace, "active"
		if o.ArchivedAt != nil {
			n.Status = "archived"
		}
	} else {
		for _, at := range []*string{o.Scope.WorkspaceID, o.WorkspaceID} {
			if at != nil && n.Workspace == "" {
				n.Workspace = usage.Clip(*at, maxWordBytes)
			}
		}
	}
	p.names = append(p.names, n)
	p.rows = append(p.rows, row{identity: sha256.Sum256([]byte(o.ID))})
	return nil
}
