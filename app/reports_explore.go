package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/usage"
	"tollbook/db"
)

// What spend can be explored by. A tag is DimensionTag and its key.
const (
	DimensionNone      = ""
	DimensionNode      = "node" // at Exploration.Level
	DimensionProject   = "project"
	DimensionDeveloper = "developer"
	DimensionKey       = "key"
	DimensionModel     = "model"
	DimensionClass     = "class" // token class
	DimensionTag       = "tag:"
	DimensionDay       = "day"
	DimensionWeek      = "week" // from Monday, UTC
	DimensionMonth     = "month"
)

// What is counted.
const (
	MeasureDollars  = "dollars"
	MeasureTokens   = "tokens"
	MeasureRequests = "requests"
	MeasureCache    = "cache_hits" // cache reads among the tokens of prompts
	MeasureErrors   = "errors"
)

// Exploration is a question about spend. From and To are UTC days, half-open.
type Exploration struct {
	By, And   string // dimensions; And may be DimensionNone
	Level     int    // of nodes: 1 is the top; 0 is each node itself
	Measure   string
	From, To  time.Time
	NodeCode  string
	Key       id.Key
	Developer string
	Model     string
	TagKey    string
	TagValue  string
}

// ExploreGroup is one value of a dimension.
type ExploreGroup struct {
	Key   string // a code, id, model, class, tag's value or first day; empty: what has none
	Label string
	Rest  bool // what was too small to be shown on its own
	// Apart says that a list of requests for this node would hold more: what is below
	// it is in groups of its own.
	Apart bool
}

// ExploreCell is what a group comes to. Classes is nil where the source has no charges
// by class.
type ExploreCell struct {
	Requests, Errors int64
	Tokens           usage.Tokens
	AllTokens        int64
	Charge           money.Sum
	Classes          *[usage.ClassCount]money.Sum
}

// ExploreTable answers an exploration: rows by columns, with totals.
type ExploreTable struct {
	Question      Exploration
	Rows, Columns []ExploreGroup
	Cells         [][]ExploreCell // by row, then column
	RowTotals     []ExploreCell
	Totals        []ExploreCell // by column
	Total         ExploreCell
	FromRequests  bool // every request was read; else rollups were
}

// Bounds of exploring.
const (
	MaxExploreDays    = 366
	exploreGroups     = 100_000 // that the database gives back
	exploreRows       = 50      // shown, where rows are not days, weeks or months
	exploreColumns    = 6       // shown, beside the rest
	maxHierarchyLevel = 32
)

// DimensionIsTime tells whether a dimension is days, weeks or months.
func DimensionIsTime(d string) bool {
	return d == DimensionDay || d == DimensionWeek || d == DimensionMonth
}

func (e *Exploration) check(tags []string) error {
	plain := []string{DimensionNode, DimensionProject, DimensionDeveloper, DimensionKey, DimensionModel, DimensionClass, DimensionDay, DimensionWeek, DimensionMonth}
	known := func(d string) bool {
		key, tag := strings.CutPrefix(d, DimensionTag)
		return slices.Contains(plain, d) || (tag && slices.Contains(tags, key))
	}
	measures := []string{MeasureDollars, MeasureTokens, MeasureRequests, MeasureCache, MeasureErrors}
	days := e.To.Sub(e.From) / (24 * time.Hour)
	switch {
	case !known(e.By):
		return fault.Invalid("by", "dimension_unknown", "Spend is grouped by node, project, developer, key, model, class, day, week, month or a declared tag.")
	case e.And != DimensionNone && !known(e.And):
		return fault.Invalid("and", "dimension_unknown", "Spend is grouped by node, project, developer, key, model, class, day, week, month or a declared tag.")
	case e.By == e.And, DimensionIsTime(e.By) && DimensionIsTime(e.And):
		return fault.Invalid("and", "dimension_twice", "Choose two different things to group by; days, weeks and months are one.")
	case !slices.Contains(measures, e.Measure):
		return fault.Invalid("measure", "measure_unknown", "What is shown is dollars, tokens, requests, cache_hits or errors.")
	case (e.By == DimensionClass || e.And == DimensionClass) && e.Measure != MeasureDollars && e.Measure != MeasureTokens:
		return fault.Invalid("measure", "measure_by_class", "By token class there are dollars and tokens; requests, cache hits and errors belong to whole requests.")
	case e.Level < 0 || e.Level > maxHierarchyLevel:
		return fault.Invalid("level", "level_range", "A level of the tree is 1 for the top to %d; 0 is each node itself.", maxHierarchyLevel)
	case days < 1 || days > MaxExploreDays:
		return fault.Invalid("to", "explore_range", "Choose 1 to %d days.", MaxExploreDays)
	}
	return nil
}

// source picks the cheapest that can answer.
func (e *Exploration) source(f *db.UsageFilter) db.Source {
	uses := func(d string) bool {
		return e.By == d || e.And == d || (d == DimensionTag && (strings.HasPrefix(e.By, d) || strings.HasPrefix(e.And, d)))
	}
	developer := uses(DimensionDeveloper) || !f.Developer.IsZero()
	narrow := uses(DimensionKey) || uses(DimensionModel) || uses(DimensionClass) || !f.Key.IsZero() || f.Model != "" || e.Measure == MeasureCache || e.Measure == MeasureErrors
	switch {
	case uses(DimensionTag), f.TagKey != "", f.Undeclared, uses(DimensionClass) && e.Measure == MeasureDollars, developer && narrow:
		return db.SourceRequests
	case developer:
		return db.SourceDevelopers
	}
	return db.SourcePlacements
}

func (e *Exploration) grouping(d string) db.Grouping {
	switch d {
	case DimensionNode, DimensionProject:
		return db.GroupPlacement
	case DimensionDeveloper:
		return db.GroupDeveloper
	case DimensionKey:
		return db.GroupKey
	case DimensionModel:
		return db.GroupModel
	case DimensionDay, DimensionWeek, DimensionMonth:
		return db.GroupDay
	case DimensionNone, DimensionClass:
		return db.GroupNone
	}
	return db.GroupTag
}

var errGroupsMany = fault.Invalid("by", "groups_many", "That makes more than 100,000 groups. Choose weeks or months, fewer days, or a cost center.")

// ExploreSize tells what answering takes: how many requests would be read one by one;
// zero when the rollups suffice.
func (r *Reports) ExploreSize(ctx context.Context, who Actor, e Exploration) (int64, error) {
	var n int64
	err := r.exploring(ctx, who, e, func(tx *db.Tx, ask db.Exploring) error {
		if ask.Source != db.SourceRequests {
			return nil
		}
		var err error
		n, err = tx.ExploreSize(ask)
		return err
	})
	return n, err
}

// Explore answers a question about spend within what the actor may see. It ends after
// three seconds with what to narrow.
func (r *Reports) Explore(ctx context.Context, who Actor, e Exploration) (ExploreTable, error) {
	table := ExploreTable{Question: e}
	err := r.exploring(ctx, who, e, func(tx *db.Tx, ask db.Exploring) error {
		rows, err := tx.Explore(ask)
		if err != nil {
			return err
		}
		if len(rows) > exploreGroups {
			return errGroupsMany
		}
		table.FromRequests = ask.Source == db.SourceRequests
		namer, err := r.namer(tx, &e, rows, ask.UsageFilter)
		if err != nil {
			return err
		}
		sums := explored{question: &e, namer: namer, cells: map[[2]ExploreGroup]*ExploreCell{}}
		if err := sums.add(rows); err != nil {
			return err
		}
		if ask.Source == db.SourceDevelopers && ask.Developer.IsZero() {
			if err := sums.undeclared(tx, ask); err != nil {
				return err
			}
		}
		sums.lay(&table)
		return nil
	})
	return table, err
}

// exploring checks a question and opens what answers it.
func (r *Reports) exploring(ctx context.Context, who Actor, e Exploration, fn func(*db.Tx, db.Exploring) error) error {
	f := RequestFilter{From: e.From, To: e.To, NodeCode: e.NodeCode, Key: e.Key, Developer: e.Developer, Model: e.Model, TagKey: e.TagKey, TagValue: e.TagValue}
	filter, err := r.filter(who, f)
	if err != nil {
		return err
	}
	return r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tags, err := tx.DeclaredTags()
		if err != nil {
			return err
		}
		if err := e.check(tags); err != nil {
			return err
		}
		if err := r.complete(tx, f, &filter); err != nil {
			return err
		}
		ask := db.Exploring{UsageFilter: filter, Source: e.source(&filter), By: [2]db.Grouping{e.grouping(e.By), e.grouping(e.And)}, Limit: exploreGroups + 1}
		for _, d := range []string{e.By, e.And} {
			if key, tag := strings.CutPrefix(d, DimensionTag); tag {
				if ask.Tag != "" {
					return fault.Invalid("and", "dimension_twice", "Group by one tag at a time.")
				}
				ask.Tag = key
			}
		}
		return fn(tx, ask)
	})
}

func (c *ExploreCell) add(other *ExploreCell) {
	c.Requests += other.Requests
	c.Errors += other.Errors
	c.Tokens = c.Tokens.Plus(other.Tokens)
	c.AllTokens += other.AllTokens
	c.Charge.AddSum(&other.Charge)
}

// Value is the cell's measure as a number, for sorting and for heights: pico-dollars or
// a count. Of cache hits it is what they are a rate of.
func (c *ExploreCell) Value(measure string) money.Sum {
	var s money.Sum
	switch measure {
	case MeasureDollars:
		s.AddSum(&c.Charge)
	case MeasureTokens:
		s.Add(money.Pico(c.AllTokens))
	case MeasureRequests:
		s.Add(money.Pico(c.Requests))
	case MeasureErrors:
		s.Add(money.Pico(c.Errors))
	case MeasureCache:
		s.Add(money.Pico(c.Tokens.Prompt()))
	}
	return s
}

// explored gathers the database's groups into the question's.
type explored struct {
	question *Exploration
	namer    *namer
	cells    map[[2]ExploreGroup]*ExploreCell
}

func (x *explored) at(a, b ExploreGroup) *ExploreCell {
	cell := x.cells[[2]ExploreGroup{a, b}]
	if cell == nil {
		cell = &ExploreCell{}
		x.cells[[2]ExploreGroup{a, b}] = cell
	}
	return cell
}

func (x *explored) add(rows []db.Explored) error {
	for i := range rows {
		row := &rows[i]
		cell, err := cellOf(row)
		if err != nil {
			return err
		}
		a, b := x.namer.group(x.question.By, row.A), x.namer.group(x.question.And, row.B)
		if x.question.By != DimensionClass && x.question.And != DimensionClass {
			x.at(a, b).add(&cell)
			continue
		}
		for _, part := range cell.byClass() {
			class := ExploreGroup{Key: part.class, Label: part.label}
			if x.question.By == DimensionClass {
				x.at(class, b).add(&part.cell)
			} else {
				x.at(a, class).add(&part.cell)
			}
		}
	}
	return nil
}

func cellOf(row *db.Explored) (ExploreCell, error) {
	charge, err := money.SumOfPico(row.ChargePico)
	if err != nil {
		return ExploreCell{}, err
	}
	cell := ExploreCell{
		Requests: row.Requests, Errors: row.Errors, AllTokens: row.Tokens, Charge: charge,
		Tokens: usage.Tokens{row.InputTokens, row.OutputTokens, row.CacheWrite5mTokens, row.CacheWrite1hTokens, row.CacheReadTokens},
	}
	if row.InputPico == "" {
		return cell, nil
	}
	cell.Classes = &[usage.ClassCount]money.Sum{}
	for class, text := range [...]string{row.InputPico, row.OutputPico, row.CacheWrite5mPico, row.CacheWrite1hPico, row.CacheReadPico} {
		if cell.Classes[class], err = money.SumOfPico(text); err != nil {
			return ExploreCell{}, err
		}
	}
	return cell, nil
}

type classPart struct {
	class, label string
	cell         ExploreCell
}

// byClass takes a cell apart; what is charged beside the classes is the last part.
func (c *ExploreCell) byClass() []classPart {
	parts := make([]classPart, 0, int(usage.ClassCount)+1)
	rest := classPart{class: "other", label: "Server tools and inner steps"}
	rest.cell.Charge.AddSum(&c.Charge)
	for class := range usage.ClassCount {
		part := classPart{class: class.String(), label: class.String()}
		part.cell.Tokens[class], part.cell.AllTokens = c.Tokens[class], c.Tokens[class]
		if c.Classes != nil {
			part.cell.Charge.AddSum(&c.Classes[class])
			rest.cell.Charge.SubSum(&c.Classes[class])
		}
		parts = append(parts, part)
	}
	if c.Classes != nil && rest.cell.Charge.Sign() != 0 {
		parts = append(parts, rest)
	}
	return parts
}

// undeclared adds what no developer was named for: the whole less the named.
func (x *explored) undeclared(tx *db.Tx, ask db.Exploring) error {
	place := slices.Index(ask.By[:], db.GroupDeveloper)
	ask.Source, ask.By[place] = db.SourcePlacements, db.GroupNone
	rows, err := tx.Explore(ask)
	if err != nil {
		return err
	}
	named := map[ExploreGroup]*ExploreCell{}
	for groups, cell := range x.cells {
		other := groups[1-place]
		if named[other] == nil {
			named[other] = &ExploreCell{}
		}
		named[other].add(cell)
	}
	whole := explored{question: x.question, namer: x.namer, cells: map[[2]ExploreGroup]*ExploreCell{}}
	if err := whole.add(rows); err != nil {
		return err
	}
	for groups, cell := range whole.cells {
		rest := ExploreCell{Requests: cell.Requests, AllTokens: cell.AllTokens}
		rest.Charge.AddSum(&cell.Charge)
		if known := named[groups[1-place]]; known != nil {
			rest.Requests -= known.Requests
			rest.AllTokens -= known.AllTokens
			rest.Charge.SubSum(&known.Charge)
		}
		if rest.Requests != 0 || rest.AllTokens != 0 || rest.Charge.Sign() != 0 {
			x.at(groups[0], groups[1]).add(&rest)
		}
	}
	return nil
}

// lay makes the table: groups in order, the smallest joined.
func (x *explored) lay(t *ExploreTable) {
	if e := x.question; DimensionIsTime(e.By) && len(x.cells) > 0 {
		// A day without spend is a day too.
		for day := e.From; day.Before(e.To); day = day.AddDate(0, 0, 1) {
			for groups := range x.cells {
				x.at(stretchOf(e.By, day.Format(time.DateOnly)), groups[1])
				break
			}
		}
	}
	rows, columns := map[ExploreGroup]*ExploreCell{}, map[ExploreGroup]*ExploreCell{}
	for groups, cell := range x.cells {
		for i, sums := range []map[ExploreGroup]*ExploreCell{rows, columns} {
			if sums[groups[i]] == nil {
				sums[groups[i]] = &ExploreCell{}
			}
			sums[groups[i]].add(cell)
		}
		t.Total.add(cell)
	}
	var rowAt, columnAt map[ExploreGroup]int
	t.Rows, rowAt = ordered(rows, x.question.By, x.question.Measure, exploreRows)
	t.Columns, columnAt = ordered(columns, x.question.And, x.question.Measure, exploreColumns)
	t.Cells, t.RowTotals, t.Totals = make([][]ExploreCell, len(t.Rows)), make([]ExploreCell, len(t.Rows)), make([]ExploreCell, len(t.Columns))
	for i := range t.Cells {
		t.Cells[i] = make([]ExploreCell, len(t.Columns))
	}
	for groups, cell := range x.cells {
		row, column := rowAt[groups[0]], columnAt[groups[1]]
		t.Cells[row][column].add(cell)
		t.RowTotals[row].add(cell)
		t.Totals[column].add(cell)
	}
}

// ordered puts groups in order: time as it goes, all else by size, and joins what is
// beyond a limit into a last group.
func ordered(sums map[ExploreGroup]*ExploreCell, dimension, measure string, limit int) ([]ExploreGroup, map[ExploreGroup]int) {
	list := make([]ExploreGroup, 0, len(sums))
	for g := range sums {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b ExploreGroup) int {
		if !DimensionIsTime(dimension) {
			one, two := sums[a].Value(measure), sums[b].Value(measure)
			if order := two.Cmp(&one); order != 0 {
				return order
			}
		}
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Label, b.Label))
	})
	at := make(map[ExploreGroup]int, len(list))
	shown := list
	if !DimensionIsTime(dimension) && len(list) > limit+1 {
		shown = append(slices.Clone(list[:limit]), ExploreGroup{Label: "All others", Rest: true})
	}
	for i, g := range list {
		at[g] = min(i, len(shown)-1)
	}
	return shown, at
}
