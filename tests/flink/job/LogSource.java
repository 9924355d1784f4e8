import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** A log in partitions, as Kafka has them: it grows while nobody reads, and how far it was read is in the checkpoints. */
final class LogSource implements Source<Long, LogSource.Partition, List<LogSource.Partition>> {
  private static final long serialVersionUID = 1;
  private final Knobs knobs;
  private final int partitions;
  private final long rate;

  LogSource(Knobs knobs, int partitions, long rate) {
    this.knobs = knobs;
    this.partitions = partitions;
    this.rate = rate;
  }

  @Override
  public Boundedness getBoundedness() {
    return Boundedness.CONTINUOUS_UNBOUNDED;
  }

  @Override
  public SplitEnumerator<Partition, List<Partition>> createEnumerator(SplitEnumeratorContext<Partition> context) {
    List<Partition> all = new ArrayList<>();
    for (int number = 0; number < partitions; number++) {
      all.add(new Partition(number, 0, 0, System.currentTimeMillis()));
    }
    return new Assigner(context, all);
  }

  @Override
  public SplitEnumerator<Partition, List<Partition>> restoreEnumerator(
      SplitEnumeratorContext<Partition> context, List<Partition> free) {
    return new Assigner(context, free);
  }

  @Override
  public SourceReader<Long, Partition> createReader(SourceReaderContext context) {
    return new LogReader(context, knobs, partitions, rate);
  }

  @Override
  public SimpleVersionedSerializer<Partition> getSplitSerializer() {
    return new PartitionBytes();
  }

  @Override
  public SimpleVersionedSerializer<List<Partition>> getEnumeratorCheckpointSerializer() {
    return new PartitionsBytes();
  }

  /** One partition: what was read of it, and what had arrived at some moment. */
  static final class Partition implements SourceSplit {
    final int number;
    long read;
    long arrived;
    long at;

    Partition(int number, long read, long arrived, long at) {
      this.number = number;
      this.read = read;
      this.arrived = arrived;
      this.at = at;
    }

    Partition copy() {
      return new Partition(number, read, arrived, at);
    }

    @Override
    public String splitId() {
      return "p" + number;
    }
  }

  /** Gives partitions to readers once all readers are there: partition n to reader n modulo their number. */
  static final class Assigner implements SplitEnumerator<Partition, List<Partition>> {
    private final SplitEnumeratorContext<Partition> context;
    private final List<Partition> free;

    Assigner(SplitEnumeratorContext<Partition> context, List<Partition> free) {
      this.context = context;
      this.free = new ArrayList<>(free);
    }

    private void assign() {
      int readers = context.currentParallelism();
      if (context.registeredReaders().size() < readers || free.isEmpty()) {
        return;
      }
      Map<Integer, List<Partition>> assignment = new HashMap<>();
      for (Partition partition : free) {
        assignment.computeIfAbsent(partition.number % readers, reader -> new ArrayList<>()).add(partition);
      }
      free.clear();
      context.assignSplits(new SplitsAssignment<>(assignment));
    }

    @Override
    public void start() {}

    @Override
    public void handleSplitRequest(int reader, String host) {}

    @Override
    public void addSplitsBack(List<Partition> partitions, int reader) {
      free.addAll(partitions);
      assign();
    }

    @Override
    public void addReader(int reader) {
      assign();
    }

    @Override
    public List<Partition> snapshotState(long checkpoint) {
      return new ArrayList<>(free);
    }

    @Override
    public void close() {}
  }

  static final class PartitionBytes implements SimpleVersionedSerializer<Partition> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(Partition partition) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      write(partition, new DataOutputStream(bytes));
      return bytes.toByteArray();
    }

    @Override
    public Partition deserialize(int version, byte[] bytes) throws IOException {
      return read(new DataInputStream(new ByteArrayInputStream(bytes)));
    }

    static void write(Partition partition, DataOutputStream to) throws IOException {
      to.writeInt(partition.number);
      to.writeLong(partition.read);
      to.writeLong(partition.arrived);
      to.writeLong(partition.at);
    }

    static Partition read(DataInputStream from) throws IOException {
      return new Partition(from.readInt(), from.readLong(), from.readLong(), from.readLong());
    }
  }

  static final class PartitionsBytes implements SimpleVersionedSerializer<List<Partition>> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(List<Partition> partitions) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      DataOutputStream to = new DataOutputStream(bytes);
      to.writeInt(partitions.size());
      for (Partition partition : partitions) {
        PartitionBytes.write(partition, to);
      }
      return bytes.toByteArray();
    }

    @Override
    public List<Partition> deserialize(int version, byte[] bytes) throws IOException {
      DataInputStream from = new DataInputStream(new ByteArrayInputStream(bytes));
      int count = from.readInt();
      List<Partition> partitions = new ArrayList<>();
      for (int index = 0; index < count; index++) {
        partitions.add(PartitionBytes.read(from));
      }
      return partitions;
    }
  }
}
