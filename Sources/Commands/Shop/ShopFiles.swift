/// The platform as files that can be read and changed: what `docker-compose init` writes.
enum ShopFiles {
    static let all: [(name: String, text: String)] = [
        ("compose.yaml", compose), ("gateway.yaml", gateway), ("metrics.yaml", metrics), ("rules.yaml", rules),
    ]

    static let compose = """
        # A shop of small services. Start it with: docker-compose up
        services:
          db:
            image: sdlab/postgres
            command: --data-dir ./pg
            ports: ["5432:5432"]
          redis:
            image: sdlab/cache-node
            ports: ["6379:6379"]
          mq:
            image: sdlab/messageq
            command: --data-dir ./mq
            ports: ["5672:5672"]
          registry:
            image: sdlab/registry
            ports: ["8500:8500"]
          # flags-cli create fail-payments; flags-cli rollout fail-payments --percent 30: payments fail on purpose
          flags:
            image: sdlab/feature-flags
            ports: ["4242:4242"]
          products:
            image: sdlab/shop-products
            command: --demo
            ports: ["8082:8082"]
            environment:
              DB: postgres://db:5432/products
              CACHE: redis:6379
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on: [db, redis, registry]
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8082/health"]
          inventory:
            image: sdlab/shop-inventory
            command: --demo
            ports: ["8083:8083"]
            environment:
              DB: postgres://db:5432/inventory
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on: [db, registry]
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8083/health"]
          payments:
            image: sdlab/shop-payments
            ports: ["8085:8085"]
            environment:
              DB: postgres://db:5432/payments
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on: [db, registry]
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8085/health"]
          orders:
            image: sdlab/shop-orders
            ports: ["8084:8084"]
            environment:
              DB: postgres://db:5432/orders
              MQ: mq:5672
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on:
              db: {condition: service_started}
              mq: {condition: service_started}
              products: {condition: service_healthy}
              inventory: {condition: service_healthy}
              payments: {condition: service_healthy}
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8084/health"]
          users:
            image: sdlab/shop-users
            ports: ["8081:8081"]
            environment:
              DB: postgres://db:5432/users
              CACHE: redis:6379
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on: [db, redis, registry]
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8081/health"]
          mailbox:
            image: sdlab/mailbox
            ports: ["1025:1025"]
          notifications:
            image: sdlab/shop-notifications
            ports: ["8086:8086"]
            environment:
              DB: postgres://db:5432/notifications
              MQ: mq:5672
              REGISTRY: registry:8500
              FLAGS: flags:4242
            depends_on: [db, mq, mailbox, registry]
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8086/health"]
          api:
            image: sdlab/api-gateway
            command: --config gateway.yaml --http 80
            ports: ["443:443"]
            depends_on:
              registry: {condition: service_started}
              users: {condition: service_healthy}
              products: {condition: service_healthy}
              orders: {condition: service_healthy}
              notifications: {condition: service_healthy}
          jaeger:
            image: sdlab/jaeger
            ports: ["16686:16686"]
          # http://shop/
          shop:
            image: sdlab/shop-front
            ports: ["80:80"]
            environment:
              REGISTRY: registry:8500
            depends_on: [api, jaeger]
          metrics:
            image: sdlab/metrics-collector
            command: --config metrics.yaml
            ports: ["9090:9090"]
            depends_on: [registry]

        """

    static let gateway = """
        # The one door: who comes in, how often, and to whom.
        registry: registry:8500
        jwt:
          keys: http://users:8081/.well-known/jwks.json
          issuer: users
          audience: shop
          headers: {sub: X-User-Id, email: X-User-Email}
        routes:
        - path: [/register, /login, /logout, /refresh]
          name: accounts
          service: users
          auth: none
          rate_limit: 30/min
        - path: [/products/*, /categories/*]
          name: catalogue
          method: [GET, HEAD]
          service: products
          auth: none
          rate_limit: 300/min
        - {path: /profile, service: users, auth: jwt, rate_limit: 60/min}
        - path: [/checkout, /orders/*]
          name: orders
          service: orders
          auth: jwt
          rate_limit: 100/min
          timeout: 10s

        """

    static let metrics = """
        global:
          scrape_interval: 5s
          evaluation_interval: 5s
        rule_files: [rules.yaml]
        scrape_configs:
          - job_name: shop
            static_configs:
              - targets: ["products:8082", "inventory:8083", "orders:8084", "payments:8085"]
              - targets: ["users:8081", "notifications:8086"]

        """

    static let rules = """
        groups:
          - name: shop
            interval: 5s
            rules:
              - record: checkout_latency_p99
                expr: 1000 * histogram_quantile(0.99, sum by (le) (rate(checkout_latency_seconds_bucket[5m])))

        """
}
