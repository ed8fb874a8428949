extension LoadBalancerConfiguration {
    /// A configuration file with every key at its default, which `help loadbalancer` shows. It is a file that can be
    /// read: a test does so and finds the defaults. What follows `#:` is in force only where it stands.
    public static let reference = """
        mode: http                  # a server a request; tcp: a server a connection
        #:tls:                      # clients speak TLS
        #:  certificates: [lb.pem]  # PEM; with several, by SNI (the lab's authority's)
        #:  keys: [lb-key.pem]      # (in the same files)
        #:  client_ca: clients.pem  # who vouches for clients
        #:  client: required        # whether they need a certificate: none, optional
        #:  alpn: [http/1.1]        # (what mode says)
        #:  min_version: 1.2
        #:  max_version: 1.3
        algorithm: round-robin      # least-connections, random (of two), hash, maglev
        hash:                       # what hash and maglev know a request by
          key: source               # uri, header NAME
        #:balance_factor: 125%      # of its share a server may have; 101% to 10000%
        backends:
          - address: localhost:8081 # host:port, a port, unix:/path: enough alone
            name: localhost:8081    # what logs, cookies and commands call it
            weight: 1               # 0 to 256
        #:  max_connections: 100    # requests at a time; the others wait
            backup: false           # true: only while no other server is up
            state: ready            # drain: finishes what it has; maint: unchecked
        #:  send_proxy: v2          # v1
        #:  tls: true               # the server speaks TLS, to checks as well
        #:  verify: true            # false: whoever answers is believed
        #:  sni: example.org        # the name it has to prove (the address's host)
        #:  ca: ca.pem              # who vouches for it (the lab's authority)
        #:  cert: lb.pem            # shown to a server that wants one
        #:  key: lb-key.pem         # (in the same file)
        health_check:
        #:type: http                # tcp: a connection is enough; none (as mode)
          interval: 5s              # between two checks of a server
        #:fast_interval: 1s         # while a row of results has begun (interval)
        #:down_interval: 10s        # while it is down (interval)
          jitter: 0%                # an interval may be longer or shorter; to 50%
          timeout: 2s               # a check that takes longer has failed
          path: /
        #:host: example.org         # the Host field (the server's address)
          expect:
            status: 200-399         # one status, or a range
        #:  body: OK                # text in the first 64 KB
          unhealthy_after: 3        # failures in a row that take it out; 1 to 100
          healthy_after: 2          # successes in a row that bring it back
        #:outlier_ejection:         # servers that fail real requests are left out
        #:  consecutive_5xx: 5      # 0: not looked at
        #:  consecutive_gateway_errors: 5 # no connection, timeout, 502, 503, 504
        #:  base_time: 30s          # times the number of ejections so far
        #:  max_time: 300s
        #:  max_percent: 10%        # of the servers; one always may be
        slow_start: 0s              # until a server that returns has its full share
        panic_threshold: 0%         # up below which health is ignored
        #:sticky:                   # clients keep their server
        #:  cookie: SRV             # or, without cookies:
        #:  by: source              # the client's address, in a table
        #:  size: 100000            # of so many entries
        #:  expire: 30m             # after the last request
        #:  redispatch: true        # to another server, if theirs is out
        #:  on_drain: move          # stay: with a server that drains
        retries: 3                  # after the first attempt; 0 to 10
        retry_on: [connect-failure, empty-response] # response-timeout, 500 to 599
        #:retry_budget:             # for all requests together
        #:  percent: 20%            # of the requests
        #:  min_per_second: 10
        queue:                      # of those that wait for max_connections
          limit: 1000
          timeout: 5s
        timeouts:
          connect: 5s               # to a server
          request: 30s              # for a request's head; then 408
          response: 60s             # without a byte from the server; then 504
          idle: 75s                 # for a client that asks nothing
          tunnel: 1h                # in mode tcp, and after a change of protocol
          shutdown: 30s             # for what is under way when it is told to stop
        forwarded: x-forwarded-for  # forwarded (RFC 7239), both, none
        accept_proxy: false         # true: clients begin with a PROXY header
        log: none                   # requests: a line for each, as HAProxy's

        """

    /// The other names of keys, in lines for `help`.
    public static var aliasReference: String {
        sections.flatMap { section in
            section.aliases.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map { alias, key in
                let path = section.name.isEmpty ? "" : "\(section.name)."
                return "  \(path)\(alias)  is  \(key)\n"
            }
        }.joined()
    }
}
