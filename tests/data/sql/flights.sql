-- Hourly departures, delays, and cancellations per carrier and origin, over a topic with one JSON object per flight.
-- The source ends at what is there when it is declared, so the queries finish and their results stand.

CREATE SOURCE flights (
  time_hour      TIMESTAMPTZ NOT NULL,
  carrier        TEXT NOT NULL,
  flight         INT NOT NULL,
  tailnum        TEXT,
  origin         TEXT NOT NULL,
  dest           TEXT NOT NULL,
  sched_dep_time INT NOT NULL,
  dep_time       INT,
  dep_delay      INT,
  arr_delay      INT,
  air_time       INT,
  distance       INT NOT NULL,
  WATERMARK FOR time_hour
) WITH (topic = 'flights', format = 'json', start = 'earliest', stop = 'latest');

CREATE MATERIALIZED VIEW flights_hourly AS
SELECT
  window_start,
  carrier,
  origin,
  count(*) AS scheduled,
  count(dep_time) AS departures,
  sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled,
  sum(dep_delay) AS delay_sum,
  avg(dep_delay) AS delay_mean,
  min(dep_delay) AS delay_min,
  max(dep_delay) AS delay_max,
  count(DISTINCT dest) AS destinations
FROM TUMBLE(flights, time_hour, INTERVAL '1 hour')
GROUP BY window_start, window_end, carrier, origin
EMIT ON WINDOW CLOSE;

CREATE SINK flights_cancelled AS
SELECT time_hour, carrier, flight, tailnum, origin, dest, distance
FROM flights
WHERE dep_time IS NULL
WITH (connector = 'topic', topic = 'flights_cancelled', format = 'json');
