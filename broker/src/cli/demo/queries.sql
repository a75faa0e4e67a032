-- What the demo runs. Paste any of it into `tidemill sql`.
CREATE SOURCE clicks (
  user_id BIGINT, page TEXT, country TEXT, ts TIMESTAMPTZ,
  WATERMARK FOR ts AS ts - INTERVAL '2 seconds'
) WITH (topic = 'clicks', format = 'json');

CREATE SOURCE purchases (
  purchase_id BIGINT, card TEXT, merchant TEXT, amount NUMERIC(12,2), ts TIMESTAMPTZ,
  WATERMARK FOR ts AS ts - INTERVAL '2 seconds'
) WITH (topic = 'purchases', format = 'json');

CREATE MATERIALIZED VIEW clicks_per_minute AS
  SELECT window_start, page, count(*) AS clicks, count(DISTINCT user_id) AS users, max(ts) AS last_event
  FROM TUMBLE(clicks, ts, INTERVAL '1 minute')
  GROUP BY window_start, window_end, page
  EMIT ON UPDATE;

CREATE MATERIALIZED VIEW card_activity AS
  SELECT window_start, card, count(*) AS purchases, sum(amount) AS total,
         CASE WHEN sum(amount) > 2000 OR count(*) > 12 THEN 'review' ELSE 'ok' END AS verdict,
         max(ts) AS last_event
  FROM TUMBLE(purchases, ts, INTERVAL '5 minutes')
  GROUP BY window_start, window_end, card
  EMIT ON UPDATE;
