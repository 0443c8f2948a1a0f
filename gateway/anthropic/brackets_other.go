//go:build !amd64

package anthropic

func canClassify() bool { return false }

func classify(*byte, int, *marks, *lexis) { panic("no processor for this") }
