package main

import (
	"context"
	"flag"
	"io"

	"tollbook/login"
)

// commandLogin signs a developer in, and is what Claude Code asks for a credential.
func commandLogin(ctx context.Context, args []string, out, progress io.Writer) error {
	var o login.Options
	rest, err := parse("login", args, func(f *flag.FlagSet) {
		f.StringVar(&o.URL, "url", "", "")
		f.BoolVar(&o.Device, "device", false, "")
		f.StringVar(&o.CostCenter, "cost-center", "", "")
	}, true)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return login.SignIn(ctx, o, out, progress)
	case o != login.Options{}:
		return misuse("login: --url, --device and --cost-center are for signing in, not for %q", rest[0])
	case len(rest) == 2 && rest[0] == "switch":
		return login.Switch(ctx, rest[1], out)
	case len(rest) == 1 && rest[0] == "token":
		return login.Token(ctx, out)
	case len(rest) == 1 && rest[0] == "status":
		return login.Status(ctx, out)
	case len(rest) == 1 && rest[0] == "logout":
		return login.SignOut(ctx, out)
	}
	return misuse("login takes nothing, or switch CODE, token, status or logout")
}
