from django.db import migrations, models


def unlog(apps, schema_editor):
    """Counts of requests in the last minute need not survive a crash, nor wait for a disk."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE tasks_ratewindow SET UNLOGGED")


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0002_dead_letters'),
    ]

    operations = [
        migrations.CreateModel(
            name='RateWindow',
            fields=[
                ('key', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('count', models.PositiveIntegerField()),
                ('ends_at', models.DateTimeField()),
            ],
        ),
        migrations.RunPython(unlog, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(models.F('queue'), models.F('run_at'), condition=models.Q(('ready', True)), name='task_oldest'),
        ),
    ]
