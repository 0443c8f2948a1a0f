package web

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/plan"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// nodeImport is a hierarchy's file as it was sent, and what is to come of it.
type nodeImport struct {
	trouble

	Frame                      ui.Frame
	Text, From, KeysTo, Reason string
	RetireMissing              bool
	Once                       string
	Problems                   []plan.Problem
	Plan                       app.NodeImportPlan
	Drift                      string             // how many nodes of each effect, in words
	Lines                      []hierarchy.Effect // that do something, and what is not in the file
	Same                       []hierarchy.Effect
	Steps                      []effectStep
	Effect                     *nodeEffect
}

var errNodeUpload = fault.Invalid("upload", "nodes_upload", "The file did not arrive whole. A hierarchy’s file has at most 4 megabytes.")

func (w *Web) askNodeImport(v *visit) error {
	if !v.may("node", "propose") {
		return app.ErrNotAllowed
	}
	return w.nodeImportPage(v, http.StatusOK, &nodeImport{})
}

func (w *Web) nodeImportPage(v *visit, status int, n *nodeImport) error {
	n.Frame = v.frame("Import the hierarchy")
	return render(v, status, nodeImportPage(n))
}

// importNodes is the dry run of a file, and its proposal.
func (w *Web) importNodes(v *visit) error {
	if !v.may("node", "propose") {
		return app.ErrNotAllowed
	}
	file, err := hierarchyFile(v)
	if err != nil {
		return err
	}
	n := &nodeImport{
		Text: string(file), From: strings.TrimSpace(v.FormValue("effective_from")), KeysTo: strings.TrimSpace(v.FormValue("keys_to")),
		Reason: v.FormValue("reason"), Once: v.FormValue("once"), RetireMissing: v.FormValue("retire_missing") != "",
	}
	if v.FormValue("step") == "back" {
		return w.nodeImportPage(v, http.StatusOK, n)
	}
	want := app.NodeImport{File: file, RetireMissing: n.RetireMissing, KeysTo: n.KeysTo}
	if n.From != "" {
		from, err := api.ParseInstant("effective_from", n.From)
		if err != nil {
			return w.refuseNodes(v, n, err)
		}
		want.From = from.Time
	}
	if n.Plan, err = w.areas.Nodes.DryRun(v.Request().Context(), v.who, want); err != nil {
		return w.refuseNodes(v, n, err)
	}
	switch {
	case len(n.Plan.Problems) > 0:
		for _, p := range n.Plan.Problems {
			n.Problems = append(n.Problems, plan.Problem(p))
		}
		n.Alert = ui.Plural(int64(len(n.Problems)), "error") + ": nothing was taken. Correct them and check again."
		return w.nodeImportPage(v, http.StatusUnprocessableEntity, n)
	case len(n.Plan.Operations) == 0:
		n.Alert = "Nothing would change: the hierarchy says the same."
		return w.nodeImportPage(v, http.StatusUnprocessableEntity, n)
	case v.FormValue("step") != "propose":
		return w.nodeCheckPage(v, http.StatusOK, n)
	}
	ask, err := n.Plan.Ask(want.From, n.Reason)
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, ask, n.Once)
	}
	if status, f := retold(err); status != 0 {
		n.trouble = trouble{f.Message, f.Field}
		return w.nodeCheckPage(v, status, n)
	}
	return v.proposed(made, err, "/nodes")
}

// refuseNodes shows the file's form again with what was wrong.
func (w *Web) refuseNodes(v *visit, n *nodeImport, err error) error {
	status, f := retold(err)
	if status == 0 {
		return err
	}
	n.trouble = trouble{f.Message, f.Field}
	return w.nodeImportPage(v, status, n)
}

// hierarchyFile is an uploaded file, or pasted text.
func hierarchyFile(v *visit) ([]byte, error) {
	upload, err := v.FormFile("upload")
	if err != nil && !errors.Is(err, http.ErrMissingFile) && !errors.Is(err, http.ErrNotMultipart) {
		return nil, errNodeUpload.Because(err)
	}
	if err != nil || upload.Size == 0 {
		return []byte(v.FormValue("file")), nil
	}
	opened, err := upload.Open()
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return io.ReadAll(io.LimitReader(opened, hierarchy.MaxFile+1))
}

// nodeCheckPage shows what a file would do, before anything is proposed.
func (w *Web) nodeCheckPage(v *visit, status int, n *nodeImport) error {
	n.Frame = v.frame("Import the hierarchy: what would change")
	if n.Once == "" {
		n.Once = secret.Mint("form_").Reveal() // sent twice, it makes one proposal
	}
	var words []string
	for _, what := range []hierarchy.EffectKind{
		hierarchy.EffectCreated, hierarchy.EffectMoved, hierarchy.EffectChanged, hierarchy.EffectRetired, hierarchy.EffectMissing, hierarchy.EffectUnchanged,
	} {
		if count := n.Plan.Drift[what]; count > 0 {
			words = append(words, ui.Count(int64(count))+" "+string(what))
		}
	}
	n.Drift = strings.Join(words, ", ")
	for i := range n.Plan.Effects {
		if n.Plan.Effects[i].Kind == hierarchy.EffectUnchanged {
			n.Same = append(n.Same, n.Plan.Effects[i])
		} else {
			n.Lines = append(n.Lines, n.Plan.Effects[i])
		}
	}
	var from time.Time // when it is decided
	if n.From != "" {
		from = n.Plan.EffectiveFrom
	}
	ask, err := n.Plan.Ask(from, "")
	if err != nil {
		return err
	}
	would, err := w.areas.Approvals.Preview(v.Request().Context(), v.who, ask)
	if err != nil {
		return err
	}
	n.Effect = &nodeEffect{From: "when it is decided"}
	if n.From != "" {
		n.Effect.From = "on " + ui.Minute(n.Plan.EffectiveFrom)
	}
	n.Effect.steps(&would)
	shown := app.NodePreview{Impact: n.Plan.Impact}
	n.Effect.charges(&shown)
	for i := range n.Plan.Impact.Nodes {
		n.Effect.Rows = append(n.Effect.Rows, effectOf(n.Plan.Impact.Nodes[i].Path, n.Plan.Impact.Nodes[i].Swing))
	}
	return render(v, status, nodeCheckPage(n))
}
