import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Leaves each record in a file exactly once: the records between two checkpoints become one file when the second one is complete.
 *
 * <p>What was snapshotted and not yet told complete is state. Its file has a name of its own, so writing it again after a restore
 * changes nothing.
 *
 * <p>It may also write down every record that comes by, and so those that come again after a restore: at once, into a file of this attempt.
 */
final class OnceWriter extends AbstractStreamOperator<Long> implements OneInputStreamOperator<Long, Long> {
  private static final long serialVersionUID = 1;
  private final String folder;
  private final String seenFolder;
  private transient OutputStream seen;
  private transient List<Long> open;
  private transient List<String> closed;
  private transient ListState<String> stored;

  /** {@code seenFolder} may be null. */
  OnceWriter(String folder, String seenFolder) {
    this.folder = folder;
    this.seenFolder = seenFolder;
  }

  @Override
  public void open() throws Exception {
    super.open();
    if (seenFolder != null) {
      Files.createDirectories(Path.of(seenFolder));
      seen = Files.newOutputStream(Path.of(seenFolder, UUID.randomUUID().toString()));
    }
  }

  @Override
  public void close() throws Exception {
    super.close();
    if (seen != null) {
      seen.close();
    }
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    open = new ArrayList<>();
    closed = new ArrayList<>();
    stored = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("closed", Types.STRING));
    // We were restored from a complete checkpoint, so what it holds is complete as well.
    for (String batch : stored.get()) {
      write(batch);
    }
  }

  @Override
  public void processElement(StreamRecord<Long> record) throws IOException {
    if (seen != null) {
      seen.write((record.getValue() + "\n").getBytes(StandardCharsets.US_ASCII));
    }
    open.add(record.getValue());
    output.collect(record);
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    if (!open.isEmpty()) {
      StringBuilder batch = new StringBuilder(UUID.randomUUID().toString());
      for (Long record : open) {
        batch.append('\n').append(record);
      }
      // The checkpoint's number stands first: what is complete is told by numbers.
      closed.add(context.getCheckpointId() + " " + batch);
      open.clear();
    }
    stored.update(closed);
  }

  @Override
  public void notifyCheckpointComplete(long checkpoint) throws Exception {
    super.notifyCheckpointComplete(checkpoint);
    List<String> later = new ArrayList<>();
    for (String batch : closed) {
      if (Long.parseLong(batch.substring(0, batch.indexOf(' '))) <= checkpoint) {
        write(batch);
      } else {
        later.add(batch);
      }
    }
    closed = later;
  }

  private void write(String batch) throws IOException {
    String named = batch.substring(batch.indexOf(' ') + 1);
    int end = named.indexOf('\n');
    Path part = Path.of(folder, named.substring(0, end) + ".part");
    Files.createDirectories(part.getParent());
    Files.writeString(part, named.substring(end + 1) + "\n");
    Files.move(part, Path.of(folder, named.substring(0, end)), StandardCopyOption.ATOMIC_MOVE);
  }
}
