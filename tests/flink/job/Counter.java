import java.io.IOException;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Counts records by key, with a knob for how long each takes and knobs for how it fails. */
final class Counter extends KeyedProcessFunction<Long, Long, Long> implements CheckpointedFunction {
  private static final long serialVersionUID = 1;
  private static final long SHORTEST_NANOS = 1_000_000;
  private static final long LOOK_EVERY_NANOS = 50_000_000;
  private final Knobs knobs;
  private final long usualMicros;
  private transient ValueState<Long> count;
  private transient long nanos;
  private transient long lookAt;
  private transient long owed;

  Counter(Knobs knobs, long usualMicros) {
    this.knobs = knobs;
    this.usualMicros = usualMicros;
  }

  @Override
  public void processElement(Long record, Context context, Collector<Long> out) throws Exception {
    long begun = System.nanoTime();
    if (begun >= lookAt || lookAt == 0) {
      lookAt = begun + LOOK_EVERY_NANOS;
      nanos = 1000 * knobs.number("work-us", usualMicros);
      if (knobs.isSet("fail-map")) {
        throw new IllegalStateException("the knob fail-map is set");
      }
    }
    Long before = count.value();
    count.update(before == null ? 1 : before + 1);
    // To wait keeps the task as busy as to compute does, and leaves the machine to others; so the time is exact on a busy machine as well.
    owed += nanos;
    if (owed >= SHORTEST_NANOS) {
      long from = System.nanoTime();
      LockSupport.parkNanos(owed);
      owed -= System.nanoTime() - from;
    }
    out.collect(record);
  }

  @Override
  public void initializeState(FunctionInitializationContext context) {
    count = context.getKeyedStateStore().getState(new ValueStateDescriptor<>("count", Long.class));
  }

  @Override
  public void snapshotState(FunctionSnapshotContext context) throws Exception {
    if (knobs.isSet("fail-ckpt")) {
      throw new IOException("the knob fail-ckpt is set");
    }
    Thread.sleep(knobs.number("slow-ckpt", 0));
  }
}
