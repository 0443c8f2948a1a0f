package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user the server runs as. A nil cred means this process's own user.
type owner struct {
	name string
	cred *syscall.Credential
}

// serverOwner picks the user: PostgreSQL refuses to run as root. An existing
// cluster keeps the user it was made by, because a postgres user may appear
// (by installing a package) after nobody created it.
func serverOwner(data string) (owner, error) {
	if os.Geteuid() != 0 {
		return owner{name: "you"}, nil
	}
	if st, err := os.Stat(data); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Uid != 0 {
			return owner{name: userName(sys.Uid), cred: &syscall.Credential{Uid: sys.Uid, Gid: sys.Gid}}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU != nil || errG != nil || uid == 0 {
			continue
		}
		// Groups stays nil: that drops root's supplementary groups.
		return owner{name: name, cred: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return owner{}, errors.New("postgres: refusing to run PostgreSQL as root, and there is no user postgres or nobody to run it as")
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// canEnter says whether the owner may pass through every directory down to dir.
// Directories that do not exist yet are ours to make and do not count.
func (o owner) canEnter(dir string) bool {
	if o.cred == nil {
		return true
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	for {
		st, err := os.Stat(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return false
		case st.IsDir() && !o.mayPass(st):
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// mayPass reads the search bit that applies to the owner.
func (o owner) mayPass(st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch {
	case sys.Uid == o.cred.Uid:
		return st.Mode().Perm()&0o100 != 0
	case sys.Gid == o.cred.Gid:
		return st.Mode().Perm()&0o010 != 0
	default:
		return st.Mode().Perm()&0o001 != 0
	}
}

// give makes path the owner's.
func (o owner) give(path string) error {
	if o.cred == nil {
		return nil
	}
	if err := os.Lchown(path, int(o.cred.Uid), int(o.cred.Gid)); err != nil {
		return fmt.Errorf("postgres: give %s to %s: %w", path, o.name, err)
	}
	return nil
}

// makeDir makes a directory only the owner (and root) can enter.
func (o owner) makeDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return fmt.Errorf("postgres: make the server's directory: %w", err)
	}
	return o.give(path)
}
