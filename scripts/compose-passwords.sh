#!/bin/sh
# Run by docker-compose.yml: gives the roles that the migrations created their
# passwords. psql quotes them; they are in no command line and in no log.
set -eu

psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 <<'SQL'
\getenv app TOLLBOOK_APP_PASSWORD
\getenv system TOLLBOOK_SYSTEM_PASSWORD
set log_statement = 'none';
set log_min_error_statement = 'panic';
alter role tollbook_app password :'app';
alter role tollbook_system password :'system';
SQL
