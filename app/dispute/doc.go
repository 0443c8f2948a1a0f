// Package dispute is an owner's word against charges: who has to answer, and where that
// leaves it.
//
// It owns the states of a dispute, the steps between them, who waits for whom and for how
// long. It does not own which charges are disputed or what moving them means (app, with
// re-tagging), who may take a step (app), nor the decision about the change that moves them
// (approval).
//
// Invariants: what has ended takes no step; who raised a dispute does not answer it; a
// dispute whose charges moved is one whose change was applied, and nothing else; one whose
// change was not applied stands where it stood before that was proposed.
//
// Words: raise, accept, decline, withdraw, propose, keep (finance decides that charges stay),
// waits for, age.
package dispute
