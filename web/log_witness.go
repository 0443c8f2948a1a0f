package web

import (
	"fmt"

	"tollbook/app"
	"tollbook/app/witness"
	"tollbook/web/ui"
)

// unseenFigure is the unwitnessed tail: what whoever holds the log key could sign again.
func unseenFigure(s *app.LogState) figure {
	tail := s.Size - s.Witnessed + s.Waiting
	f := figure{Label: "Seen by no witness", Value: ui.Count(tail)}
	switch {
	case len(s.Witnesses) == 0:
		f.Tag, f.Notes = &figureTag{ui.ToneStop, "×", "no witness"}, []link{{Label: "nobody outside has seen this log"}}
	case behind(s):
		f.Tag, f.Notes = &figureTag{ui.ToneStop, "×", "behind"}, []link{{Label: "records of the unwitnessed tail; it should end within " + minutes(app.SignEvery+s.Within)}}
	case tail == 0:
		f.Notes = []link{{Label: "a witness has seen the head of all"}}
	default:
		f.Notes = []link{{Label: "of the unwitnessed tail, seen within " + minutes(app.SignEvery+s.Within)}}
	}
	return f
}

// behind tells whether no witness keeps up: one that does is enough for the tail's end.
func behind(s *app.LogState) bool {
	for i := range s.Witnesses {
		if !s.Witnesses[i].Behind {
			return false
		}
	}
	return len(s.Witnesses) > 0
}

// witnessControls are one control a witness, or the one that there is none.
func witnessControls(s *app.LogState) []control {
	if len(s.Witnesses) == 0 {
		return []control{{"Witness", ui.ToneStop, "×", "none", "Whoever operates this installation and holds its log key can sign again what no witness outside has seen; no witness is configured.", link{}}}
	}
	var list []control
	for i := range s.Witnesses {
		list = append(list, witnessControl(s, &s.Witnesses[i]))
	}
	return list
}

func witnessControl(s *app.LogState, w *app.WitnessState) control {
	name := witnessKind(w.Kind)
	saw := w.Name + " has seen no head yet."
	if w.Size > 0 {
		saw = fmt.Sprintf("%s saw a head of %s, %s.", w.Name, ui.Plural(w.Size, "record"), ui.Minute(w.SeenAt))
		if w.Object != "" {
			saw += " It is kept as " + w.Object + "."
		}
	}
	records := link{"Records of witnesses", "/log?action=log."}
	switch {
	case w.Other:
		return control{name, ui.ToneStop, "×", "has seen another log", saw + " When it was last asked: " + w.Reason + " What is here is not what it saw: a backup was restored, or the log was signed again.", records}
	case w.Behind:
		return control{name, ui.ToneStop, "×", "behind", saw + " A newer head is older than " + minutes(s.Within) + ". When it was last asked: " + reason(w), records}
	case w.Size == s.Signed && s.Signed > 0:
		return control{name, ui.ToneOK, "✓", "up to date", saw, link{}}
	case w.Reason != "":
		return control{name, ui.ToneWarn, "!", "asked again", saw + " When it was last asked: " + reason(w), link{}}
	}
	return control{name, ui.TonePlain, "…", "is being shown", saw + " The newest head follows within seconds.", link{}}
}

func reason(w *app.WitnessState) string {
	if w.Reason == "" {
		return "it saw what it was shown then."
	}
	return w.Reason
}

func witnessKind(k witness.Kind) string {
	switch k {
	case witness.Object:
		return "Witness, store with lock"
	case witness.Log:
		return "Witness, another log"
	case witness.Timestamp:
		return "Witness, timestamp"
	case witness.Packet:
		return "Witness, by a packet"
	}
	return "Witness"
}

// witnessWords are a log's witnesses in a sentence's end.
func witnessWords(s *app.LogState) string {
	if len(s.Witnesses) == 0 {
		return "no witness is configured."
	}
	return "the log’s page says how far each witness has seen."
}
