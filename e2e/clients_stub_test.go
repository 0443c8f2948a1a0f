//go:build clients

package e2e_test

import "testing"

func (h *house) goSDKs(t *testing.T)        {}
func (h *house) typeScriptSDK(t *testing.T) {}
