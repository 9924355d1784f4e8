import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStreamSink;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * The job of the tests: records of a log with partitions, counted by key with as much work as one likes, into a sink.
 *
 * <p>Options come as {@code --name value}:
 *
 * <ul>
 *   <li>{@code dir}: the folder of the knobs (required)
 *   <li>{@code partitions} (4), {@code rate} (2000 a second over all partitions), {@code work} (300 microseconds a record)
 *   <li>{@code name} (records-job), {@code par}, {@code maxpar} (24)
 *   <li>{@code srcpar}, {@code srcmax}: the source's parallelism and its maximum; {@code sinkpar}: the sink's
 *   <li>{@code one}: an operator of parallelism 1 before the sink: {@code max} with that as its maximum, {@code plain} without
 *   <li>{@code out}: a folder where the sink leaves each record exactly once; without it records are thrown away
 *   <li>{@code seen}: with {@code out}, a folder where each record that comes by is written down, also again after a restore
 *   <li>{@code boom}: main throws
 * </ul>
 *
 * <p>Knobs, read while it runs: {@code rate}, {@code work-us}, {@code written} (records in the log beside those that arrive by rate),
 * {@code hold} (the source reads nothing), {@code fail-map} (the counter throws), {@code fail-ckpt} (its snapshot throws),
 * {@code slow-ckpt} (milliseconds that its snapshot takes).
 */
public final class RecordsJob {
  private final List<String> options;

  private RecordsJob(String[] options) {
    this.options = Arrays.asList(options);
  }

  private String option(String name, String otherwise) {
    int at = options.indexOf("--" + name);
    return at >= 0 && at + 1 < options.size() ? options.get(at + 1) : otherwise;
  }

  private int number(String name, int otherwise) {
    return Integer.parseInt(option(name, Integer.toString(otherwise)));
  }

  private boolean has(String name) {
    return options.contains("--" + name);
  }

  public static void main(String[] options) throws Exception {
    new RecordsJob(options).run();
  }

  private void run() throws Exception {
    Knobs knobs = new Knobs(option("dir", null));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setMaxParallelism(number("maxpar", 24));
    if (has("par")) {
      env.setParallelism(number("par", 1));
    }
    LogSource log = new LogSource(knobs, number("partitions", 4), number("rate", 2000));
    SingleOutputStreamOperator<Long> records =
        env.fromSource(log, WatermarkStrategy.noWatermarks(), "records", Types.LONG).uid("records");
    if (has("srcpar")) {
      records.setParallelism(number("srcpar", 1));
    }
    if (has("srcmax")) {
      records.setMaxParallelism(number("srcmax", 1));
    }
    SingleOutputStreamOperator<Long> counted =
        records.keyBy(record -> record % 1000).process(new Counter(knobs, number("work", 300))).returns(Types.LONG);
    counted.uid("count").name("count");
    if (has("one")) {
      counted = counted.map(record -> record).returns(Types.LONG).uid("one").name("one").setParallelism(1);
      if (option("one", "").equals("max")) {
        counted.setMaxParallelism(1);
      }
    }
    if (has("out")) {
      counted = counted.transform("once", Types.LONG, new OnceWriter(option("out", null), option("seen", null))).uid("once").name("once");
      if (has("sinkpar")) {
        counted.setParallelism(number("sinkpar", 1));
      }
    }
    DataStreamSink<Long> sink = counted.sinkTo(new DiscardingSink<>()).uid("sink").name("sink");
    if (has("sinkpar")) {
      sink.setParallelism(number("sinkpar", 1));
    }
    if (has("boom")) {
      throw new IllegalArgumentException("bad program argument");
    }
    env.execute(option("name", "records-job"));
  }
}
