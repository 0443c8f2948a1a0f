package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/witness"
	"tollbook/web/chart"
	"tollbook/web/ui"
)

type galleryView struct {
	Frame   ui.Frame
	Figures []figure
	Sums    []money.Sum
	Columns []chart.Day
	Stacks  []chart.Column
	Seal    *app.Seal
	Key     *newKeyView
	Tests   []app.UpstreamTest
	Health  app.Health
	SetUp   *setUpView
	Logs    []*logStateView

	ChangeStates []figureTag
	Content      []fieldDiff
	Impact       impactView
	Case         *caseView
	Differences  []nodeDifference
}

// showGallery shows every component in every state, with made-up values.
func (w *Web) showGallery(c echo.Context) error {
	return render(c, http.StatusOK, galleryPage(gallery(w.doorFrame("Gallery"))))
}

func gallery(frame ui.Frame) *galleryView {
	v := &galleryView{Frame: frame, Sums: make([]money.Sum, 3)}
	v.Sums[0].Add(1_234_567_890_000_000)
	v.Sums[1].Add(-98_765_000_000_000)
	v.Figures = []figure{
		{Label: "Plain, with a link", Value: "$71,810.58", URL: "/_gallery", Notes: []link{{Label: "99.87% of $71,904.18;"}, {Label: "$93.60 in suspense", URL: "/_gallery"}}},
		{Label: "Under", Value: ui.Signed(&v.Sums[1]), Tone: "under", Sign: "▼", Notes: []link{{Label: "2.3% less"}}},
		{Label: "Over", Value: ui.Signed(&v.Sums[0]), Tone: "over", Sign: "▲", Notes: []link{{Label: "9.1% more"}}},
		{Label: "Controlled", Value: "$0.00", Tag: &figureTag{Tone: ui.ToneOK, Icon: "✓", Word: "agrees"}, Notes: []link{{Label: "with what was flushed"}}},
	}
	for n := range 30 {
		v.Columns = append(v.Columns, chart.Day{Height: n * 33, Before: 1000 - n*33, Words: "made up", Partial: n == 22, Upcoming: n > 22})
	}
	for n := range 12 {
		column := chart.Column{Words: "made up"}
		for series := 1; series <= 7; series++ {
			column.Parts = append(column.Parts, chart.Part{Permille: 20 + 10*((n+series)%12), Series: series})
		}
		v.Stacks = append(v.Stacks, column)
	}
	for _, what := range []string{nodeCreated, nodeMoved, nodeChanged, nodeRetired, "unchanged", "missing"} {
		v.Differences = append(v.Differences, nodeDifference{
			Code: "CC-1", Name: "Made up", URL: "/_gallery", What: what,
			Fields: []nodeField{{Field: "parent_code", Before: "BU-10", After: "BU-20"}, {Field: "owner", After: "Somebody"}, {Field: "gl_account", Before: "6410"}},
		})
	}
	at := time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC)
	for _, outcome := range []string{app.UpstreamWorks, app.UpstreamFailing, app.UpstreamRefused, app.UpstreamForeign, app.UpstreamUnreached} {
		v.Tests = append(v.Tests, app.UpstreamTest{Outcome: outcome, Detail: app.UnreachedName, HTTPStatus: 200, Models: 18, Took: 212 * time.Millisecond, At: at, By: app.Hand{Name: "Made Up"}})
	}
	v.Logs = []*logStateView{
		logState(&app.LogState{Size: 54_321, Signed: 54_300, SignedAt: at, Root: make([]byte, 32), Signs: true, Checked: &app.LogCheck{At: at, Good: true, Size: 54_210}}),
		logState(&app.LogState{Size: 54_321, Signed: 54_300, SignedAt: at, Root: make([]byte, 32), Signs: true, Apart: true, Within: app.WitnessWithin, Witnessed: 54_300, Witnesses: []app.WitnessState{
			{Name: "s3://heads", Kind: witness.Object, Size: 54_300, SeenAt: at, Object: "s3://heads/54300.checkpoint"}, {Name: "witness.example/w1", Kind: witness.Log, Size: 54_100, SeenAt: at, Behind: true, Reason: "It cannot be reached."},
			{Name: "https://tsa.example/tsr", Kind: witness.Timestamp}, {Name: "witness.example/w2", Kind: witness.Log, Size: 60_000, SeenAt: at, Other: true, Reason: "it has seen this log with 60000 records, which are not here"},
		}}),
		logState(&app.LogState{Size: 12, Waiting: 1, Checked: &app.LogCheck{At: at, Sequence: 7, Why: "its bytes are not those that were hashed"}}),
	}
	var batch id.Batch
	_ = batch.UnmarshalText([]byte("bat_01a20a7692cb7c3d9f1e5a6b7c8d9e0f")) // a constant that parses
	v.Seal = &app.Seal{Batch: batch, At: at}
	v.Health = app.Health{
		Ready: true, Ailing: "requests of 1 company do not reach the ledger (7 wait); the log says why", Pools: []app.PoolHealth{{Role: "app", Max: 16, Open: 9, InUse: 2}},
		Gateway: &app.GatewayHealth{Pending: 1234, Bytes: 700 << 20, Bound: 1 << 30, Segments: 11, OldestPending: time.Hour, Flushed: 40, FlushLag: time.Second, FailingTenants: 1, FailingWaiting: 7, Broken: 1, SnapshotAge: 20 * time.Second},
	}
	v.SetUp = &setUpView{SetUp: app.SetUp{Profile: app.Profile{Name: "Made Up", TimeZone: "UTC", FiscalMonth: time.January}}, Nodes: []option{{Label: "Choose"}}}
	for i, step := range []app.SetUpStep{app.StepProfile, app.StepUpstream, app.StepCostCenter, app.StepConnect, app.StepPriced} {
		one := setUpStep{Step: step, Place: i + 1, State: []string{stepDone, stepNext, stepNext, stepLater, stepWaiting}[i], May: i != 1, Open: i == 2, Who: "engineering admin or tenant owner"}
		one.Title, one.Why = setUpWords(step)
		v.SetUp.Steps = append(v.SetUp.Steps, one)
	}
	v.SetUp.Center = centerForm{trouble: trouble{"A code has 1 to 60 bytes.", "code"}, Name: "Platform"}
	v.changes(at)
	v.Key = &newKeyView{Form: keyForm{Alert: "A key needs a label of 1 to 200 bytes.", Field: "label"}, Nodes: []option{{Label: "Choose"}}}
	return v
}

// changes are made up: a move of a node that one of two has approved.
func (g *galleryView) changes(at time.Time) {
	for _, state := range approval.States() {
		g.ChangeStates = append(g.ChangeStates, changeStateTag(&app.ChangeView{Change: approval.Change{State: state}}, at))
	}
	late := app.ChangeView{Change: approval.Change{State: approval.StateProposed}, Terms: app.Terms{ExpiresAt: at}}
	taken := app.ChangeView{Change: approval.Change{State: approval.StateRejected}, Basis: approval.BasisWithdrawn}
	g.ChangeStates = append(g.ChangeStates, changeStateTag(&late, at), changeStateTag(&taken, at))
	var zero, moved, rest, more money.Sum
	moved.Add(6_899_150_000_000_000)
	rest.Add(17_981_020_000_000_000)
	more.Add(3_204_660_000_000_000)
	var whole, both money.Sum
	for _, part := range []*money.Sum{&rest, &moved} {
		whole.AddSum(part)
	}
	for _, part := range []*money.Sum{&more, &moved} {
		both.AddSum(part)
	}
	move := app.ChangeView{Change: approval.Change{
		Kind: "node", Number: 214, State: approval.StateProposed, Reason: "Tooling is in maintenance.", ProposedAt: at, EffectiveFrom: at.AddDate(0, 0, 8),
		Payload: []byte(`{"operations":[{"op":"move","code":"P-1","parent_code":"CC-2","was":"CC-1"},{"op":"capitalization","code":"P-1","capitalization":"expense","was":"capitalize"}]}`),
	}}
	move.Impact = approval.Impact{
		Sentence: "P-1 moves from CC-1 to CC-2.", Month: "2026-10", Moved: moved, PlanMovedCents: 10_800_000, Keys: 2, Rules: 1,
		Nodes: []approval.NodeImpact{
			{Code: "CC-1", Path: "BU-1 / CC-1", Swing: approval.Swing{Before: whole, After: rest}}, {Code: "CC-2", Path: "BU-1 / CC-2", Swing: approval.Swing{Before: more, After: both}},
			{Code: "CC-3", Path: "BU-1 / CC-3", Swing: approval.Swing{Before: zero, After: zero}},
		},
		Capitalized: approval.Swing{Before: moved}, Expensed: approval.Swing{After: moved},
	}
	move.Terms = app.Terms{Policy: approval.Policy{Code: "moves", Parallel: true, FreshSignIn: true}, Version: 6, ExpiresAt: at.AddDate(0, 0, 2)}
	move.Made = app.Hand{Name: "Made Up"}
	shown := app.CaseView{ChangeView: move, Steps: []app.StepView{
		{Step: approval.Step{Name: "Receiving owner accepts", Quorum: 1}, Votes: []app.VoteView{{Who: app.Hand{Name: "Owner Up"}, For: app.Hand{Name: "Away Up"}, DecidedAt: at}}},
		{Step: approval.Step{Name: "Finance approves", Quorum: 2}, Open: true, Turn: true, Asked: []app.Hand{{Name: "Finance Up"}, {Name: "Control Up"}}},
	}}
	g.Content, g.Impact = contentOf(&move), impactOf(&move.Impact)
	g.Case = &caseView{
		Case: shown, Steps: caseSteps(&shown, at), Void: []app.VoteView{{Who: app.Hand{Name: "Finance Up"}, DecidedAt: at}}, Policy: link{"policy “moves”, version 6", "/_gallery"}, Digest: move.DigestText(),
	}
}
