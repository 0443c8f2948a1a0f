package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// newNginx runs nginx doing what the control does. It is the floor, where it is
// installed.
func newNginx(told brief) (*service, error) {
	free, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	file := filepath.Join(told.Dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(nginxConfiguration(told, address)), 0o600); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	command := exec.CommandContext(context.Background(), told.Nginx, "-c", file, "-p", told.Dir, "-e", "stderr")
	command.Stderr = &said
	if err := command.Start(); err != nil {
		return nil, err
	}
	end := func(context.Context) error {
		_ = command.Process.Signal(os.Interrupt) // fails only when it has ended
		late := time.AfterFunc(5*time.Second, func() { _ = command.Process.Kill() })
		defer late.Stop()
		return command.Wait()
	}
	for range 100 {
		connection, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
		if err == nil {
			return &service{address: address, end: end}, connection.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("nginx does not listen: %s", said.String()), end(context.Background()))
}

func nginxConfiguration(told brief, address string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // or its worker could not enter its own directory
	}
	return fmt.Sprintf(`daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid nginx.pid; error_log stderr; %s
events { worker_connections 16384; }
http {
	access_log off; client_max_body_size 32m; client_body_buffer_size 256k; keepalive_requests 1000000;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	map $http_x_api_key $swapped { default ""; "%s" "%s"; }
	upstream provider { server %s; keepalive 2048; keepalive_requests 1000000; }
	server {
		listen %s backlog=4096;
		location / {
			if ($swapped = "") { return 401; }
			proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Api-Key $swapped;
			proxy_buffering off; proxy_request_buffering off;
		}
	}
}
`, user, told.Key, told.Credential, strings.TrimPrefix(told.Upstream, "http://"), address)
}
