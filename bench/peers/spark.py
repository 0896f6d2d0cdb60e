"""The job on Spark Structured Streaming: ticks from Kafka to daily statistics in Parquet, until the topic's end.

spark.py BROKERS TOPIC OUTPUT CHECKPOINT JARS; its last line is JSON.
"""

import glob
import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

brokers, topic, output, checkpoint, jars = sys.argv[1:]

spark = (
    SparkSession.builder.master("local[2]")
    .appName("bench")
    .config("spark.jars", ",".join(glob.glob(f"{jars}/*.jar")))
    .config("spark.driver.memory", "4g")
    .config("spark.sql.shuffle.partitions", 2)
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

number, whole, text = DoubleType(), LongType(), StringType()
tick = StructType(
    [
        StructField(name, kind)
        for name, kind in [
            ("symbol", text),
            ("event_time", whole),
            ("price", number),
            ("open", number),
            ("high", number),
            ("low", number),
            ("volume", number),
            ("quote_volume", number),
            ("number_trades", whole),
            ("price_change", number),
            ("price_change_percent", number),
            ("timestamp", text),
        ]
    ]
)

records = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", brokers)
    .option("subscribe", topic)
    .option("startingOffsets", "earliest")
    .load()
)
daily = (
    records.select(f.from_json(f.col("value").cast("string"), tick).alias("tick"))
    .select("tick.*")
    .withColumn("event_timestamp", f.timestamp_millis("event_time"))
    .withWatermark("event_timestamp", "1 hour")
    .groupBy(f.window("event_timestamp", "1 day"), "symbol")
    .agg(
        f.first("open").alias("daily_open"),
        f.max("high").alias("daily_high"),
        f.min("low").alias("daily_low"),
        f.last("price").alias("daily_close"),
        f.sum("volume").alias("daily_volume"),
        f.sum("quote_volume").alias("daily_quote_volume"),
        f.sum("number_trades").alias("total_trades"),
        f.count("*").alias("tick_count"),
        f.avg("price").alias("avg_price"),
    )
    .withColumn("window_start", f.col("window.start"))
    .withColumn("window_end", f.col("window.end"))
    .drop("window")
)
query = (
    daily.writeStream.format("parquet")
    .option("path", output)
    .option("checkpointLocation", checkpoint)
    .partitionBy("symbol")
    .outputMode("append")
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
running_ms = sum(progress["durationMs"]["triggerExecution"] for progress in query.recentProgress)
records_in = sum(progress["numInputRows"] for progress in query.recentProgress)
print(json.dumps({"records": records_in, "running_s": running_ms / 1000}))
