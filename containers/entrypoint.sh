#!/bin/sh
#
# entrypoint.sh: what the container runs.  It sets what httpd.conf asks for in
# ${...}, refuses to begin without what has no default, and becomes httpd.
#
set -eu

: "${INFLUX_URL:?is missing: for example http://influxdb:8086}"
export INFLUX_URL
export INFLUX_DATABASE="${INFLUX_DATABASE:-httpd}"
export INFLUX_BUFFER="${INFLUX_BUFFER:-32M}"
export SERVER_NAME="${SERVER_NAME:-localhost}"
# In a pod without a name of its own this is the pod's, new with each start.
export INFLUX_HOSTNAME="${INFLUX_HOSTNAME:-$(hostname)}"

# What is there is used: a file of a secret, a volume for the spool.
if [ -e /run/secrets/influx-token ]; then
    set -- -DInfluxToken "$@"
elif [ -e /run/secrets/influx-password ]; then
    : "${INFLUX_USER:?is missing beside /run/secrets/influx-password}"
    set -- -DInfluxPassword "$@"
fi
if [ -w /var/spool/influx-metrics ]; then
    set -- -DInfluxSpool "$@"
fi

# exec: httpd is process 1 and gets the signals itself.
exec apache2 -f /etc/apache2/container.conf -DFOREGROUND "$@"
