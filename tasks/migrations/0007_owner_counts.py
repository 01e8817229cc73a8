from django.db import migrations, models

COUNT = """
    INSERT INTO tasks_ownercount (owner_id, n)
    SELECT owner_id, count(*) FROM tasks_task
    WHERE owner_id IS NOT NULL AND status IN ('pending', 'failed', 'paused') GROUP BY owner_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0006_eta'),
    ]

    operations = [
        migrations.CreateModel(
            name='OwnerCount',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('owner_id', models.BigIntegerField()),
                ('n', models.BigIntegerField()),
            ],
            options={
                'indexes': [models.Index(models.F('owner_id'), models.F('n'), name='ownercount_owner')],
            },
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
