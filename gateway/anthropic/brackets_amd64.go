package anthropic

import "golang.org/x/sys/cpu"

// canClassify says whether the processor has what classify needs.
func canClassify() bool { return cpu.X86.HasAVX2 && cpu.X86.HasPCLMULQDQ }

// classify marks blocks of 64 bytes each, at least one, from first on, and moves at
// behind them.
//
//go:noescape
func classify(first *byte, blocks int, into *marks, at *lexis)
