package notary

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Store is an S3 server that runs, with one bucket made with object lock.
type Store struct {
	URL, AccessKey, SecretKey, Bucket string

	command *exec.Cmd
}

const startWithin = 30 * time.Second

// StartStore starts the S3 server that a program is (versitygw), with its files in a
// directory.
func StartStore(ctx context.Context, program, dir string) (*Store, error) {
	s := &Store{AccessKey: "notary", SecretKey: "notary-secret-of-a-test", Bucket: "heads"}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	args := []string{"--access", s.AccessKey, "--secret", s.SecretKey, "--port", address, "posix", "--versioning-dir"}
	for _, name := range []string{"versions", "objects"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("make the store's directory: %w", err)
		}
		args = append(args, path)
	}
	s.command = exec.CommandContext(ctx, program, args...)
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the store: %w", err)
	}
	s.URL = "http://" + address
	if err := s.open(ctx, address); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// open waits for the server and makes the bucket.
func (s *Store) open(ctx context.Context, address string) error {
	client, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		if err = client.MakeBucket(limited, s.Bucket, minio.MakeBucketOptions{ObjectLocking: true}); err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("the store did not start: %w", err)
		case <-ticks.C:
		}
	}
}

// Stop ends the server.
func (s *Store) Stop() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait() // killed, as it says
}
