# Makes of deploy/caddy/Caddyfile what Caddy 2.6 takes: it has no time-outs for a route, nor for
# answers that nobody reads, so a body may take as long as the longest one.
s/read_body 18s/read_body 11m/
/read_body_idle/d
/write_idle/d
/write_max_chunk/d
/timeouts @slow {/,/}/d
