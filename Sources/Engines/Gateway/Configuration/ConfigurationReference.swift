extension GatewayConfiguration {
    /// A configuration file with every key, which `help api-gateway` shows. It is a file that can be read: a test does
    /// so. Where a value is a default, the comment behind it does not say so; what is in force only where it stands has
    /// what holds otherwise in parentheses.
    public static let reference = """
        routes:
        - path: /api/users/*        # and below; /health: it alone; ~ /v[0-9]+/x: RE2
          name: users               # for limits, logs, metrics (the path's last word)
          host: [api.lab, "*.lab"]  # (any)
          method: [GET, POST]       # (any)
          headers: {X-Beta: "1"}    # "*": any value; "~ a.*": an expression (none)
          query: {debug: "*"}       # (none)
          version: v2               # by /v2 before the path, or X-API-Version: 2 (none)
          service: user-service     # without a url here or below: the registry's
          url: http://users:8080    # https: TLS, by the lab's authority
          auth: jwt                 # api-key, introspection, none; or a list
          scopes: [users:read]      # all of them (none)
          claims: {role: admin}     # (none)
          rate_limit: 100/min       # of each user, key or address (none); or
                                    # {rate, algorithm: sliding-counter, burst, shadow}
          rate_limit_by_address: 1000/min                       # before tokens are
                                    # looked at (none)
          strip: /api               # off the path that servers see (nothing); or
                                    # rewrite: {prefix: /x}, {path: /x}, {match, with}
          host_rewrite: users.lab   # (the client's)
          request_headers: {set: {X-A: "1"}, add: {X-B: "2"}, remove: [X-C]}
          response_headers: {remove: [X-Powered-By]}
          cors: {origins: ["https://*.shop.lab"], credentials: true, max_age: 10m}
          mirror: {service: user-service-next, percent: 10}     # a copy (none)
          max_body: 10mb            # larger: 413
          timeout: 60s              # for all of it: 504
          response_timeout: 30s     # without a byte from a server: 504
          retries: 1                # of what may be repeated, before the first byte
          retry_on: [502, 503]      # answers that are not passed on (none)
          sunset: 2027-12-31        # says when it will be gone (never)
        - path: /api/search/*
          auth: none
          split: {search-v1: 90, search-v2: 10}                 # in place of service
          sticky: user              # keeps its share; {header: X-Device}, {cookie: id}
                                    # (each request by chance)
        - path: /api/dashboard      # one answer made of several
          auth: jwt
          aggregate:
            timeout: 5s
            partial_status: 200     # 206, 502: if a part is missing
            parts:
            - group: user           # its place in the answer (the answer itself)
              name: user            # for {name.member} in later paths
              service: user-service
              path: /users/me
              required: true        # without it 502 or 504 (false)
              timeout: 2s
              pick: data            # a place in its answer (all of it)
              allow: [id, name]     # members that stay (all)
              deny: [address.street]
              mapping: {name: full_name}
              max_answer: 1mb
            - {group: orders, service: order-service, path: "/orders?user={user.id}"}
        - path: /old/*
          auth: none
          redirect: {prefix: /new, status: 308}               # scheme, host, port, path
        services:                   # what routes mean by a name
          search-v1: http://search:8080
          search-v2:
            servers: [10.0.0.1:80, 10.0.0.2:80]                 # or url, or discover
            balance: round-robin    # least-connections, random
            max_connections: 100    # of each server; others wait (any number)
            connect_timeout: 5s
            outlier_ejection: true  # servers that fail in a row rest
            health_check: {path: /health, interval: 5s, timeout: 2s, unhealthy_after: 3}
                                    # as a balancer has it (none: real requests tell)
            breaker: {failureRateThreshold: 50, waitDurationInOpenState: 10s}   # false
            tls: false
            tls_name: search.lab    # whom it has to prove to be (its host)
            base_path: /base        # before every path (nothing)
          user-service-next: {discover: users-next}
        auth: none                  # for routes that do not say (they must)
        jwt:
          keys: jwks.json           # or PEM; or http://auth/.well-known/jwks.json; or
                                    # secret_file: hs.key, for HS256 and nothing else
          issuer: https://auth.lab  # or a list (any)
          audience: gateway         # or a list (any)
          algorithms: [EdDSA, RS256, ES256]                     # (all but HS)
          leeway: 0s
          refresh: 5m               # of keys from a url
          stale: 1h                 # how long they are good that cannot be had again
          headers: {sub: X-User-Id} # claims that servers are told
          forward: false            # whether servers see the token
          cache: 10000              # tokens whose signature is known; 0: none
        api_keys:
          header: X-API-Key
          consumer_header: X-Consumer
          keys:
          - name: alice
            sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
            scopes: [users:read]
            expires: 2027-01-31     # (never)
        introspection:              # RFC 7662
          url: http://auth:8080/introspect
          client: gateway
          secret_file: client.key   # (none)
          timeout: 2s
          cache: 30s
          headers: {sub: X-User-Id}
        registry: localhost:8500
        trusted_proxies: [10.0.0.0/8]                           # (none)
        version_header: X-API-Version
        encoded_slashes: refuse     # keep
        max_head: 32kb              # larger: 431
        timeouts: {request: 30s, idle: 75s, shutdown: 30s}
        log: requests               # none
        server_timing: false        # says how long it took here and behind
        cors: false                 # for routes that do not say

        """
}
