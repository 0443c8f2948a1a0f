package app

import (
	"bytes"
	"maps"
	"slices"

	"tollbook/app/usage"
)

// Bounds of the texts of a row. The gateway keeps to them; a journal of another
// version, or a damaged one, need not.
const (
	maxIDText    = 100
	maxWordText  = 40
	maxModelText = 200
	maxFlagText  = 128
	maxTagCount  = 10
	maxTagKey    = 64
	maxTagValue  = 256
)

// tidy copies events into the one order every flush inserts in, so that two flushes of
// the same events never wait for each other in a circle, with texts that Postgres
// takes: a NUL in a session's name is no reason to lose a charge. The caller's events
// are left as they are.
func tidy(events []usage.Event) []usage.Event {
	list := slices.Clone(events)
	for i := range list {
		tidyTexts(&list[i])
	}
	slices.SortStableFunc(list, func(a, b usage.Event) int {
		x, y := a.ID.Bytes(), b.ID.Bytes()
		return bytes.Compare(x[:], y[:])
	})
	return list
}

func tidyTexts(e *usage.Event) {
	for _, text := range []*string{&e.RequestID, &e.MessageID, &e.SessionID, &e.AgentID, &e.ParentAgentID, &e.Rule} {
		*text = usage.Clip(*text, maxIDText)
	}
	for _, text := range []*string{&e.RequestClass, &e.StopReason, &e.Counts.Speed, &e.Counts.Geography, &e.Counts.Tier} {
		*text = usage.Clip(*text, maxWordText)
	}
	e.ModelRequested, e.Counts.Model = usage.Clip(e.ModelRequested, maxModelText), usage.Clip(e.Counts.Model, maxModelText)
	e.Project = usage.Clip(e.Project, maxFlagText)
	e.Flags, e.Counts.Unknown = tidyList(e.Flags), tidyList(e.Counts.Unknown)
	e.Tags = tidyTags(e.Tags)
	e.Counts.Iterations = slices.Clone(e.Counts.Iterations)
	for i := range e.Counts.Iterations {
		step := &e.Counts.Iterations[i]
		step.Kind, step.Model = usage.Clip(step.Kind, maxWordText), usage.Clip(step.Model, maxModelText)
	}
}

func tidyList(list []string) []string {
	untidy := func(text string) bool { return usage.Clip(text, maxFlagText) != text }
	if !slices.ContainsFunc(list, untidy) {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		list[i] = usage.Clip(list[i], maxFlagText)
	}
	return list
}

// tidyTags keeps the first tags by name: which ones must not depend on a map's order.
func tidyTags(tags map[string]string) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	kept := make(map[string]string, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		short := usage.Clip(key, maxTagKey)
		if _, taken := kept[short]; taken || short == "" || len(kept) == maxTagCount {
			continue
		}
		kept[short] = usage.Clip(tags[key], maxTagValue)
	}
	return kept
}
