// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Nginx is a web server of files, or in front of other servers: what people put
// before their logs.
type Nginx struct {
	*Process
	TLSClient

	Host string // 127.0.0.1:port
	URL  string
	// AccessLog is the path of a file with a line a request, written just after the
	// answer: method, path with query, status, server that answered ("-" for none, a
	// list if several were asked), user ("-" for none).
	AccessLog string
}

// NginxOptions say what an Nginx serves, and to whom. One of Root and Upstreams must
// be set.
type NginxOptions struct {
	Root      string   // a directory whose files it serves
	Upstreams []string // host:port of replicas that it asks in turn, over plain HTTP

	TLS    bool // with a certificate authority of its own
	Mutual bool // and clients need a certificate of that

	User, Password string // if set, that it asks for (RFC 7617); without a colon

	// RequestsPerSecond, if not 0, is how much it takes of all clients together, and
	// Burst how many more at once. What is beyond is answered with 429, and Retry-After
	// of a second.
	RequestsPerSecond, Burst int

	Directives []string // more of them for the server block, without semicolon
}

// StartNginx starts one on a free port. The name names its files.
func (s *Stack) StartNginx(ctx context.Context, name string, o NginxOptions) (*Nginx, error) {
	path, err := systemProgram("nginx")
	if err != nil {
		return nil, err
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	n := &Nginx{Host: loopback(port), URL: loopbackURL(port), AccessLog: s.run.file("log", name+"-access.log")}
	server, err := s.nginxServer(name, n, o)
	if err != nil {
		return nil, err
	}
	prefix := s.run.file(name)
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		return nil, err
	}
	config, err := s.run.write(name+".conf", []byte(nginxConfig(n, o, server)))
	if err != nil {
		return nil, err
	}
	n.Process, err = s.start(ctx, command{
		name: name,
		path: path,
		// Without -e it opens the machine's own log before it reads where ours is.
		args:  []string{"-p", prefix, "-c", config, "-e", "stderr"},
		ready: dialReady("tcp", n.Host),
	})
	return n, err
}

// nginxServer are the directives of the server block that ask something of clients.
func (s *Stack) nginxServer(name string, n *Nginx, o NginxOptions) ([]string, error) {
	listen := "listen " + n.Host
	var server []string
	if o.TLS {
		client, files, err := s.issueTLS(name, o.Mutual)
		if err != nil {
			return nil, err
		}
		n.TLSClient, n.URL = client, "https://"+n.Host
		listen += " ssl"
		server = append(server, "ssl_certificate "+files.cert, "ssl_certificate_key "+files.key)
		if files.clientCA != "" {
			server = append(server, "ssl_client_certificate "+files.clientCA, "ssl_verify_client on")
		}
	}
	if o.User != "" {
		users, err := s.run.write(name+".users", []byte(o.User+":{PLAIN}"+o.Password+"\n"))
		if err != nil {
			return nil, err
		}
		server = append(server, "auth_basic "+name, "auth_basic_user_file "+users)
	}
	if o.RequestsPerSecond > 0 {
		limit := "limit_req zone=requests"
		if o.Burst > 0 { // it takes no 0
			limit += fmt.Sprintf(" burst=%d nodelay", o.Burst)
		}
		server = append(server, limit, "limit_req_status 429")
	}
	return append(append([]string{listen}, server...), o.Directives...), nil
}

// nginxConfig is the configuration file. There is one process, in the foreground: the
// kernel ends it with ours, and it reads what we may read.
func nginxConfig(n *Nginx, o NginxOptions, server []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `daemon off;
master_process off;
pid nginx.pid;
events {}
http {
  log_format requests '$request_method $request_uri $status $upstream_addr $remote_user';
  access_log %s requests;
  default_type application/octet-stream;
`, n.AccessLog)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "  %s_temp_path %s;\n", kind, kind)
	}
	if o.RequestsPerSecond > 0 {
		fmt.Fprintf(&b, `  limit_req_zone $server_addr zone=requests:1m rate=%dr/s;
  map $status $retry_after { 429 1; }
  add_header Retry-After $retry_after always;
`, o.RequestsPerSecond)
	}
	location := "root " + o.Root
	if len(o.Upstreams) > 0 {
		fmt.Fprintf(&b, "  upstream replicas { server %s; }\n", strings.Join(o.Upstreams, "; server "))
		location = "proxy_pass http://replicas; proxy_set_header Host $http_host"
	}
	fmt.Fprintf(&b, "  server {\n    %s;\n    location / { %s; }\n  }\n}\n", strings.Join(server, ";\n    "), location)
	return b.String()
}
