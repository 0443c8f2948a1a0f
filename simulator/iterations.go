package simulator

// creditOutcomes are the words of knob fallback-credit: redeemed, or why not.
func creditOutcomes() []string {
	return []string{
		"redeemed", "body_mismatch", "continuation_excluded", "continuation_only", "expired", "invalid_target_model", "not_enabled",
		"reprice_unavailable", "temporarily_unavailable", "variant_fields_present", "wrong_organization", "wrong_platform", "wrong_workspace",
	}
}

// fallbackCredit is usage.fallback_credit.
type fallbackCredit struct {
	Status creditStatus `json:"status"`
}

type creditStatus struct {
	Type           string   `json:"type"`
	Reason         string   `json:"reason,omitempty"`
	RemoveToRedeem []string `json:"remove_to_redeem,omitempty"`
}

func creditOf(outcome string) *fallbackCredit {
	switch outcome {
	case "":
		return nil
	case "redeemed":
		return &fallbackCredit{creditStatus{Type: "redeemed"}}
	case "variant_fields_present":
		return &fallbackCredit{creditStatus{Type: "not_applied", Reason: outcome, RemoveToRedeem: []string{"speed"}}}
	default:
		return &fallbackCredit{creditStatus{Type: "not_applied", Reason: outcome}}
	}
}

// addIterations lists the turns behind the answer when a knob asks for them, and
// books what the top level of usage does not contain. requested is the model that
// was asked for, which a fallback replaces.
func (ex *exchange) addIterations(requested string) {
	k, f := &ex.knobs, &ex.fact
	if k.compaction == 0 && k.iterations == 0 && k.advisor == 0 && k.fallback == "" {
		return
	}
	top := f.Tokens
	top.Output = ex.usage.OutputTokens
	var list []usageIteration
	if n := int64(k.compaction); n > 0 { // at the request's model
		compaction := Tokens{Input: n, Output: n / 10}
		list = append(list, iterationOf("compaction", f.Model, compaction))
		if k.fallback == "" {
			f.Tokens.add(compaction)
		} else {
			f.Iterations = append(f.Iterations, Iteration{Kind: "compaction", Model: requested, Tokens: compaction})
			list[0].Model = requested
		}
	}
	if k.fallback != "" { // what the requested model read and, perhaps, began to say
		declined := top
		declined.Output = int64(k.fallbackOutput)
		list = append(list, iterationOf("message", requested, declined))
		f.Iterations = append(f.Iterations, Iteration{Kind: "message", Model: requested, Tokens: declined, Free: declined.Output == 0})
	}
	turns := max(1, k.iterations)
	for i := range turns {
		kind := "message"
		if k.fallback != "" && i == turns-1 {
			kind = "fallback_message"
		}
		list = append(list, iterationOf(kind, f.Model, top.share(i, turns)))
		if n := int64(k.advisor); n > 0 && i == 0 {
			advice := Tokens{Input: n, Output: n / 10}
			list = append(list, iterationOf("advisor_message", k.advisorModel, advice))
			f.Iterations = append(f.Iterations, Iteration{Kind: "advisor_message", Model: k.advisorModel, Tokens: advice})
		}
	}
	ex.usage.Iterations = list
}

// share is the part of turn i of n; all shares together are t.
func (t *Tokens) share(i, n int) Tokens {
	of := func(count int64) int64 {
		return count*int64(i+1)/int64(n) - count*int64(i)/int64(n)
	}

	return Tokens{of(t.Input), of(t.Output), of(t.CacheWrite5m), of(t.CacheWrite1h), of(t.CacheRead)}
}

func iterationOf(kind, model string, t Tokens) usageIteration {
	return usageIteration{
		Type: kind, Model: model, InputTokens: t.Input, OutputTokens: t.Output, CacheReadTokens: t.CacheRead,
		CacheCreationTokens: t.CacheWrite5m + t.CacheWrite1h,
		CacheCreation:       &cacheCreation{t.CacheWrite5m, t.CacheWrite1h},
	}
}

// extraBlocks are the content blocks that tell of a fallback and of an advisor.
func (k *knobs) extraBlocks(requested, serving, toolUse string) []replyBlock {
	var blocks []replyBlock
	if k.fallback != "" {
		blocks = append(blocks, replyBlock{kind: blockWhole, text: mustJSON(map[string]any{
			"type": "fallback", "from": map[string]string{"model": requested}, "to": map[string]string{"model": serving},
			"trigger": map[string]any{"type": "refusal", "category": nil},
		})})
	}
	if k.advisor > 0 {
		id := "srv" + toolUse
		blocks = append(blocks, replyBlock{kind: blockServerToolUse, id: id, name: "advisor", text: "{}"},
			replyBlock{kind: blockWhole, text: mustJSON(map[string]any{
				"type": "advisor_tool_result", "tool_use_id": id,
				"content": map[string]string{"type": "advisor_result", "text": "Simulated advice.", "stop_reason": "end_turn"},
			})})
	}

	return blocks
}
