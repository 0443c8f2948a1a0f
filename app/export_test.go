package app

// Hurry leaves no time to replay anything.
func (r *Rules) Hurry() { r.replayFor, r.impactFor = 0, 0 }
