import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.core.io.InputStatus;

/** Reads some partitions of the log in turn, and says by Flink's own gauge how much waits in them. */
final class LogReader implements SourceReader<Long, LogSource.Partition> {
  private static final long LOOK_EVERY_MILLIS = 50;
  private final SourceReaderContext context;
  private final Knobs knobs;
  private final int partitions;
  private final long usualRate;
  // The gauge is asked by a thread of the metrics, so all below is guarded by this reader.
  private final List<LogSource.Partition> mine = new ArrayList<>();
  private long rate;
  private long written;
  private boolean hold;
  private long lookAt;
  private int turn;

  LogReader(SourceReaderContext context, Knobs knobs, int partitions, long usualRate) {
    this.context = context;
    this.knobs = knobs;
    this.partitions = partitions;
    this.usualRate = usualRate;
    this.rate = Math.max(0, knobs.number("rate", usualRate));
    context.metricGroup().setPendingRecordsGauge(this::pending);
  }

  /** Looks at the knobs now and then; a new rate counts from now on. */
  private void look(long now) {
    if (now < lookAt) {
      return;
    }
    lookAt = now + LOOK_EVERY_MILLIS;
    written = knobs.number("written", 0);
    hold = knobs.isSet("hold");
    long wanted = Math.max(0, knobs.number("rate", usualRate));
    if (wanted != rate) {
      for (LogSource.Partition partition : mine) {
        partition.arrived = arrived(partition, now);
        partition.at = now;
      }
      rate = wanted;
    }
  }

  private long arrived(LogSource.Partition partition, long now) {
    return partition.arrived + Math.max(0, now - partition.at) * rate / (1000L * partitions);
  }

  /** The end of a partition: what arrived by the clock, and its share of what a test wrote. */
  private long end(LogSource.Partition partition, long now) {
    long share = written / partitions + (partition.number < written % partitions ? 1 : 0);
    return arrived(partition, now) + share;
  }

  private synchronized long pending() {
    long now = System.currentTimeMillis();
    look(now);
    long sum = 0;
    for (LogSource.Partition partition : mine) {
      sum += Math.max(0, end(partition, now) - partition.read);
    }
    return sum;
  }

  @Override
  public synchronized InputStatus pollNext(ReaderOutput<Long> output) {
    long now = System.currentTimeMillis();
    look(now);
    for (int tried = 0; tried < mine.size() && !hold; tried++) {
      turn = (turn + 1) % mine.size();
      LogSource.Partition partition = mine.get(turn);
      if (partition.read < end(partition, now)) {
        output.collect(partition.read * partitions + partition.number);
        partition.read++;
        context.metricGroup().getIOMetricGroup().getNumRecordsInCounter().inc();
        return InputStatus.MORE_AVAILABLE;
      }
    }
    return InputStatus.NOTHING_AVAILABLE;
  }

  @Override
  public CompletableFuture<Void> isAvailable() {
    return CompletableFuture.runAsync(() -> {}, CompletableFuture.delayedExecutor(5, TimeUnit.MILLISECONDS));
  }

  @Override
  public synchronized List<LogSource.Partition> snapshotState(long checkpoint) {
    long now = System.currentTimeMillis();
    List<LogSource.Partition> copies = new ArrayList<>();
    for (LogSource.Partition partition : mine) {
      LogSource.Partition copy = partition.copy();
      copy.arrived = arrived(partition, now);
      copy.at = now;
      copies.add(copy);
    }
    return copies;
  }

  @Override
  public synchronized void addSplits(List<LogSource.Partition> splits) {
    mine.addAll(splits);
  }

  @Override
  public void start() {}

  @Override
  public void notifyNoMoreSplits() {}

  @Override
  public void close() {}
}
