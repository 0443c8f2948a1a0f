//go:build clients

package e2e_test

import "testing"

func (h *house) typeScriptSDK(t *testing.T) {}
